"""The certificates of the lab's BMCs: an authority of this state's own, X.509 by RFC 5280."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chapelle.lab import files

AUTHORITY = "ca.pem"
_KEY = "ca.key"

# A lab that is left running for years should not lock its owner out; clocks never agree wholly.
LIFE = datetime.timedelta(days=3650)
BACKDATED = datetime.timedelta(minutes=5)


class Authority:
    """Who signs the BMCs' certificates; made at random in its directory if it is not there."""

    def __init__(self, folder: Path) -> None:
        if not (folder / AUTHORITY).exists() or not (folder / _KEY).exists():
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _authority(key)
            files.write(folder / _KEY, _pem(key))
            files.write(folder / AUTHORITY, certificate.public_bytes(_PEM), 0o644)
        self._certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        loaded = serialization.load_pem_private_key((folder / _KEY).read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{folder / _KEY} is not a key of ours")
        self._key = loaded

    def issue(self, name: str, address: str) -> bytes:
        """A new key, and its certificate for a name and an address, as one PEM file."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _pem(key) + _issued(key, name, address, self._certificate.subject, self._key)


def stranger(address: str) -> bytes:
    """A key with a certificate that it has signed itself, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _pem(key) + _issued(key, "stranger", address, _name("stranger"), key)


_PEM = serialization.Encoding.PEM


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> (
    x509.CertificateBuilder
):  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = "chapelle lab BMC authority"
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder(name, _name(name), key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _issued(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    address: str,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
) -> bytes:
    names: list[x509.GeneralName] = [
        x509.DNSName(name),
        x509.IPAddress(ipaddress.ip_address(address)),
    ]
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        _builder(name, issuer, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(signer, hashes.SHA256())
        .public_bytes(_PEM)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
