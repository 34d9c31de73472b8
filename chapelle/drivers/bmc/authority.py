"""The site's authority for BMCs: signs what BMCs ask for, with names of ours.

Of a request only the key is taken, which is the BMC's own and never leaves it. The names are those
that NetBox has: what a BMC writes into its request differs from maker to maker, and proves nothing.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chapelle.drivers.bmc.private import require_private
from chapelle.errors import ChapelleError, InputError

CERTIFICATE = "ca.pem"
KEY = "ca.key"

# A year, and a month to renew in.
LIFE = datetime.timedelta(days=397)
# Clocks never agree wholly.
BACKDATED = datetime.timedelta(minutes=5)
# NIST SP 800-57 part 1, table 2: 112 bits of strength.
RSA_BITS = 2048
EC_BITS = 224


class Authority:
    """Who signs.

    Arguments:
        folder: a directory with its certificate and its key, which only its owner may read.
        trusted: the file of the certificates that BMCs' are verified with.

    Raises:
        RefusedError: others may read the key.
        InputError: what is there is no authority, or not one that we trust ourselves.
    """

    def __init__(self, folder: Path, trusted: Path) -> None:
        self._folder = folder
        require_private(
            folder / KEY,
            "key of the authority for BMCs",
            "let nobody else read it; make another authority if others could have",
        )
        try:
            self._certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
            key = serialization.load_pem_private_key((folder / KEY).read_bytes(), password=None)
            known = x509.load_pem_x509_certificates(trusted.read_bytes())
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise self._wrong(
                f"{CERTIFICATE} and {KEY} in PEM, without passphrase", error
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise self._wrong("a key of RSA or of an elliptic curve", type(key).__name__)
        if key.public_key() != self._certificate.public_key():
            raise self._wrong(f"that {KEY} is the key of {CERTIFICATE}", "the key of another")
        if self._certificate not in known:
            raise self._wrong(f"that {CERTIFICATE} is one of those in {trusted}", "that it is not")
        if not _may_sign(self._certificate):
            raise self._wrong("the certificate of an authority (CA:TRUE)", "that of no authority")
        self._key = key

    def _wrong(self, expected: str, found: object) -> InputError:
        return InputError(
            "Certificates of BMCs cannot be signed.",
            where=str(self._folder),
            expected=expected,
            found=str(found),
            remedy="docs/bmc.md says what is in CHAPELLE_BMC_SIGNER",
        )

    def sign(self, request: str, subject: str, names: Sequence[str]) -> x509.Certificate:
        """A certificate for the key of a request.

        Arguments:
            request: in PEM (PKCS #10, RFC 2986).
            subject: its common name.
            names: the DNS names and addresses that it is for.

        Raises:
            ChapelleError: it is no request, not signed with its own key, or the key is too weak;
                or our own certificate has ended.
        """
        try:
            asked = x509.load_pem_x509_csr(request.strip().encode())
            key = asked.public_key()
            own = asked.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _unfit("a request in PEM (RFC 2986)", str(error)) from error
        if not own:
            raise _unfit("a request that is signed with its own key", "another signature")
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise _unfit("a key of RSA or of an elliptic curve", type(key).__name__)
        least = RSA_BITS if isinstance(key, rsa.RSAPublicKey) else EC_BITS
        if key.key_size < least:
            raise _unfit(f"a key of {least} bits at least", f"{key.key_size} bits")
        now = datetime.datetime.now(datetime.UTC)
        ends = min(now + LIFE, self._certificate.not_valid_after_utc)
        if ends <= now:
            raise self._wrong("a certificate of the authority that holds", f"it ended on {ends}")
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(rsa_key=isinstance(key, rsa.RSAPublicKey)), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_name(each) for each in names]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._own_key(), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _own_key(self) -> x509.AuthorityKeyIdentifier:
        """As our certificate calls its key, or it is not found by it."""
        try:
            own = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, rsa_key: bool) -> x509.KeyUsage:
    """For TLS; keys of RSA may also encipher, which TLS 1.2 does with them."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=rsa_key,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _unfit(expected: str, found: str) -> ChapelleError:
    return ChapelleError(
        "The BMC's request for a certificate is not signed.",
        expected=expected,
        found=found[:300],
        remedy="see algorithm, bits and curve of its family in inventory/hardware-quirks.yml",
    )
