"""By what a BMC of the lab is known: its key and certificate, and what it is given in their place.

They are in a file, as in the flash memory of a real one. The key of a request is nowhere but in the
process until a certificate for it comes.
"""

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from chapelle.lab import files

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# What BMCs must be told (DSP2046, CertificateService, GenerateCSR), and where in the name it goes.
SUBJECT = {
    "Country": NameOID.COUNTRY_NAME,
    "State": NameOID.STATE_OR_PROVINCE_NAME,
    "City": NameOID.LOCALITY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CommonName": NameOID.COMMON_NAME,
}
CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "TPM_ECC_NIST_P256": ec.SECP256R1,
    "TPM_ECC_NIST_P384": ec.SECP384R1,
}
# A web server starts anew with a new certificate, and a BMC takes longer.
SERVER_SECONDS = 0.3
RESTART_SECONDS = 1.0


class Identity:
    """A BMC's key and certificate.

    Arguments:
        path: the file of both, in PEM. `replaced` says whether it was given another.
    """

    def __init__(self, path: Path) -> None:
        self.replaced = False
        self._path = path
        self._asked: _Key | None = None
        self._waiting: bytes | None = None
        self._context: ssl.SSLContext | None = None
        self._back = 0.0

    def away(self) -> bool:
        """Whether its web server is starting anew."""
        return time.monotonic() < self._back

    def context(self) -> ssl.SSLContext:
        """What it serves with."""
        context = self._context
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._path)
            self._context = context
        return context

    def certificate(self) -> str:
        """The certificate that it has, in PEM, without the key."""
        data = self._path.read_bytes()
        found = x509.load_pem_x509_certificates(data)[0]
        return found.public_bytes(serialization.Encoding.PEM).decode()

    def request(self, asked: Mapping[str, Any]) -> str:
        """A request for a certificate, for a new key.

        Arguments:
            asked: parameters of GenerateCSR.

        Raises:
            ValueError: one is missing, or it knows no such key.
        """
        missing = [name for name in SUBJECT if not asked.get(name)]
        if missing:
            raise ValueError(f"the parameters {', '.join(missing)} are missing")
        self._asked = _new_key(asked)
        names = [x509.DNSName(str(name)) for name in asked.get("AlternativeNames") or ()]
        name = [x509.NameAttribute(oid, str(asked[word])) for word, oid in SUBJECT.items()]
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(name))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(self._asked, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def take(self, certificate: str, *, late: bool) -> None:
        """Take a certificate for the key of the last request.

        Arguments:
            certificate: in PEM.
            late: serve it after a restart only.

        Raises:
            ValueError: it is none, or not for that key.
        """
        given = x509.load_pem_x509_certificate(certificate.encode())
        if self._asked is None or given.public_key() != self._asked.public_key():
            raise ValueError("the certificate is not for the key of the last request")
        key = self._asked.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._waiting = key + given.public_bytes(serialization.Encoding.PEM)
        self._asked = None
        if not late:
            self._serve()
            self._back = time.monotonic() + SERVER_SECONDS

    def restart(self) -> None:
        """Start anew, with what it was given."""
        self._asked = None
        self._serve()
        self._back = time.monotonic() + RESTART_SECONDS

    def _serve(self) -> None:
        if self._waiting is not None:
            files.write(self._path, self._waiting)
            self._waiting, self._context, self.replaced = None, None, True


def _new_key(asked: Mapping[str, Any]) -> _Key:
    """A key as it was asked for; of a curve if nothing was said."""
    algorithm = asked.get("KeyPairAlgorithm") or "TPM_ALG_ECDSA"
    curve = asked.get("KeyCurveId") or "TPM_ECC_NIST_P256"
    if algorithm == "TPM_ALG_RSA":
        return rsa.generate_private_key(65537, int(asked.get("KeyBitLength") or 2048))
    if algorithm != "TPM_ALG_ECDSA" or curve not in CURVES:
        raise ValueError(f"there are no keys {algorithm} {curve}")
    return ec.generate_private_key(CURVES[curve]())
