"""The certificate that a BMC serves HTTPS with: looked at, and replaced.

Looking trusts nothing and sends nothing: it shakes hands, and leaves. sushy has no request for a
certificate, and names the one to be replaced by text where DSP2046 (CertificateService) has a link;
so both actions are done here.
"""

import datetime
import hashlib
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tenacity
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.ssl_match_hostname import CertificateError, match_hostname

from chapelle import strict
from chapelle.drivers.bmc.accounts import ROOT
from chapelle.drivers.bmc.authority import Authority
from chapelle.drivers.bmc.client import LONGEST_POLL, POLL_SECONDS, Bmc
from chapelle.drivers.bmc.contract import BmcError, Target, UnreachableError, UnsettledError
from chapelle.drivers.bmc.wire import CONNECT_SECONDS, FIRST_PAUSE, LONGEST_PAUSE
from chapelle.drivers.switch.wire import inside
from chapelle.errors import InputError
from chapelle.model.certificate import Certificate
from chapelle.strict.problems import ProblemsError

# With colons, as web pages and OpenSSL write it, or without.
_Digest = Annotated[str, msgspec.Meta(pattern="^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$")]


# -- looking --------------------------------------------------------------------------------------


def look(target: Target) -> Certificate:
    """What certificate a BMC shows, and whether it can be known by it.

    Raises:
        UnreachableError: nobody answers.
        InputError: the file of the authority has no certificates.
    """
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(UnreachableError),
        wait=tenacity.wait_exponential_jitter(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        stop=tenacity.stop_before_delay(target.patience),
        reraise=True,
    )
    return retry(_look, target)


def _look(target: Target) -> Certificate:
    anyone, known = _context(), _context()
    known.verify_mode = ssl.CERT_REQUIRED
    try:
        known.load_verify_locations(target.authority)
    except ssl.SSLError as error:
        raise InputError(
            "Certificates of BMCs cannot be judged.",
            where=target.authority,
            expected="the certificates, in PEM, of who signs those of BMCs",
            found=error.reason or str(error),
        ) from error
    try:
        data = _shown(target, anyone)
    except ssl.SSLError as error:
        return Certificate(problem=(error.reason or str(error)).lower().replace("_", " "))
    try:
        _shown(target, known)
    except ssl.SSLCertVerificationError as error:
        return _read(data, target.bears, error.verify_message)
    return _read(data, target.bears)


def _context() -> ssl.SSLContext:
    """As that of a session, so that both trust alike; but with any name."""
    context = create_urllib3_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown(target: Target, context: ssl.SSLContext) -> bytes:
    """The certificate that is shown in a handshake."""
    seconds = min(CONNECT_SECONDS, target.family.seconds.answer)
    try:
        with inside(target.namespace):
            link = socket.create_connection((target.address, target.port), seconds)
        with link, context.wrap_socket(link) as tls:
            return tls.getpeercert(binary_form=True) or b""
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, OSError) as error:
        if isinstance(error, ssl.SSLError) and not isinstance(
            error, ssl.SSLEOFError | ssl.SSLZeroReturnError
        ):
            raise
        raise UnreachableError(
            f"The BMC of {target.host} does not answer.",
            where=target.where,
            expected="that it shakes hands for TLS",
            found=error.strerror or str(error),
            remedy="see whether it has power and its cable; reset the BMC if that does not help",
        ) from error


def _read(data: bytes, bears: str, problem: str = "") -> Certificate:
    digest = hashlib.sha256(data).hexdigest()
    try:
        shown = x509.load_der_x509_certificate(data)
        names = _names(shown)
        subject, issuer = shown.subject.rfc4514_string(), shown.issuer.rfc4514_string()
    except ValueError as error:  # some makers' own are not as RFC 5280 wants them
        return Certificate(sha256=digest, problem=problem or f"it cannot be read: {error}")
    try:
        match_hostname({"subjectAltName": names}, bears)
        named = True
    except CertificateError:
        named = False
    ends = shown.not_valid_after_utc
    return Certificate(
        subject=subject,
        names=tuple(name for _, name in names),
        issuer=issuer,
        ends=ends,
        days=(ends - datetime.datetime.now(datetime.UTC)).days,
        sha256=digest,
        trusted=not problem,
        named=named,
        problem=problem,
    )


def _names(shown: x509.Certificate) -> tuple[tuple[str, str], ...]:
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = found.get_values_for_type(x509.IPAddress)
    return (
        *(("DNS", name) for name in found.get_values_for_type(x509.DNSName)),
        *(("IP Address", str(address)) for address in addresses),
    )


# -- replacing ------------------------------------------------------------------------------------


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that a BMC was given: its SHA-256, and the answer that is missing, if it is."""

    sha256: str
    doubt: UnreachableError | None


def replace(bmc: Bmc, authority: Authority) -> Given:
    """Have the BMC make a key and a request, have that signed, and give it the certificate.

    It is for the address of the BMC and the DNS name that NetBox has for it.

    Raises:
        UnreachableError: no answer came before it was given the certificate.
        BmcError: the BMC can not, or refuses.
        ChapelleError: what it asks for is not signed.
    """
    target, service = bmc.target, _Service(bmc)
    asked = target.family.certificate
    values: dict[str, Any] = {
        "CertificateCollection": {"@odata.id": service.collection},
        "CommonName": target.bears,
        "AlternativeNames": [target.bears],
        "Country": asked.country,
        "State": asked.state,
        "City": asked.city,
        "Organization": asked.organization,
        "OrganizationalUnit": asked.unit,
        "KeyPairAlgorithm": asked.algorithm,
        "KeyBitLength": asked.bits,
        "KeyCurveId": asked.curve,
    }
    seconds = target.family.seconds.certificate
    answer = bmc.act(service.generate, {k: v for k, v in values.items() if v}, seconds)
    names = dict.fromkeys(filter(None, (target.name, target.address)))
    signed = authority.sign(str(answer.get("CSRString") or ""), target.host, tuple(names))
    doubt = None
    try:
        bmc.act(
            service.replace,
            {
                "CertificateUri": {"@odata.id": service.certificate},
                "CertificateType": "PEM",
                "CertificateString": signed.public_bytes(Encoding.PEM).decode(),
            },
            seconds,
        )
    except UnreachableError as error:  # it may have taken it, and be at starting anew
        doubt = error
    if service.reset:  # the answer may be lost with the BMC
        with suppress(UnreachableError):
            bmc.act(service.reset, {"ResetType": "GracefulRestart"}, seconds)
    data = signed.public_bytes(Encoding.DER)
    return Given(sha256=hashlib.sha256(data).hexdigest(), doubt=doubt)


def prove(target: Target, given: Given) -> Certificate:
    """Connect anew until the BMC serves what it was given.

    Raises:
        UnreachableError: it does not answer any more.
        UnsettledError: it serves another for as long as its family may take.
    """
    deadline = time.monotonic() + target.family.seconds.certificate
    pause = POLL_SECONDS
    while True:
        away: UnreachableError | None = None
        try:
            seen = _look(target)
            if seen.sha256 == given.sha256:
                return seen
        except UnreachableError as error:
            away = error
        if time.monotonic() + pause > deadline:
            raise away or given.doubt or _stale(target, given, seen)
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL)


def _stale(target: Target, given: Given, seen: Certificate) -> UnsettledError:
    return UnsettledError(
        f"The BMC of {target.host} took a certificate, and serves another.",
        where=target.where,
        expected=f"the one with SHA-256 {given.sha256}",
        found=f"the one with SHA-256 {seen.sha256 or '(none)'}",
        remedy="reset the BMC; if its model wants that each time, set certificate.restart of its "
        "family in inventory/hardware-quirks.yml",
    )


class _Service:
    """Where the BMC has what it takes.

    Raises:
        BmcError: it has not, and what is missing is said.
    """

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        managers = (bmc.ask(bmc.path).get("Links") or {}).get("ManagedBy")
        if not managers:
            raise self._lacks("a Manager that manages the system", "none")
        root, manager = bmc.ask(ROOT), bmc.ask(managers[0]["@odata.id"])
        found = self._linked(root, "CertificateService")
        self.generate = self._action(found, "CertificateService.GenerateCSR")
        self.replace = self._action(found, "CertificateService.ReplaceCertificate")
        restart = bmc.target.family.certificate.restart
        self.reset = self._action(manager, "Manager.Reset") if restart else ""
        https = self._linked(manager, "NetworkProtocol").get("HTTPS") or {}
        members = self._linked(https, "Certificates").get("Members") or []
        self.collection: str = https["Certificates"]["@odata.id"]
        if len(members) != 1:
            raise self._lacks("one certificate of HTTPS to replace", f"{len(members)} of them")
        self.certificate: str = members[0]["@odata.id"]

    def _linked(self, resource: dict[str, Any], name: str) -> dict[str, Any]:
        link = (resource.get(name) or {}).get("@odata.id")
        if not link:
            raise self._lacks(name, "nothing of that name")
        return self._bmc.ask(link)

    def _action(self, resource: dict[str, Any], name: str) -> str:
        actions = resource.get("Actions") or {}
        target = (actions.get(f"#{name}") or {}).get("target")
        if not target:
            known = [each.removeprefix("#") for each in actions if each.startswith("#")]
            raise self._lacks(f"the action {name}", ", ".join(known) or "no action at all")
        found: str = target
        return found

    def _lacks(self, expected: str, found: str) -> BmcError:
        return BmcError(
            f"The BMC of {self._bmc.target.host} cannot have its certificate replaced by Redfish.",
            where=self._bmc.target.where,
            expected=f"{expected} (DSP2046, CertificateService)",
            found=found,
            remedy="see whether newer firmware can; if not, give it one by its own web pages, "
            "signed by the site's authority",
        )


# -- fingerprints ---------------------------------------------------------------------------------


def fingerprints(path: Path) -> dict[str, str]:
    """The SHA-256 of BMCs' certificates that a file has, by server.

    Raises:
        InputError: it cannot be read, or something in it is no SHA-256.
    """
    found, problems = strict.read(path, dict[str, _Digest])
    if problems:
        remedy = "write the server's name, a colon, and 64 hex digits in quotes"
        raise ProblemsError("The file of fingerprints", problems, remedy)
    return {host: digest.replace(":", "").lower() for host, digest in found.items()}
