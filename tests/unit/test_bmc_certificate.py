"""Certificates of BMCs, looked at and renewed, against the lab's own BMCs."""

import datetime
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import bmc_rig
import msgspec
import pytest
import reference
from bmc_rig import Rig
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from chapelle.checks.certificate import CERTIFICATE
from chapelle.drivers.bmc import authority as authorities
from chapelle.drivers.bmc import certificates
from chapelle.drivers.bmc.authority import Authority
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import StrangerError, UnreachableError
from chapelle.errors import ChapelleError, InputError, RefusedError
from chapelle.lab import bmc as fleets
from chapelle.model.certificate import Certificate
from chapelle.model.hardware import Limits
from chapelle.run import bmc_certificate as certifying
from chapelle.run.bmc import Outcome, Stand

HOSTS = [f"compute-a1-0{number}" for number in range(1, 10)]
HOST, ENDED = HOSTS[0], HOSTS[-1]
LIMITS = Limits(answer=10, power=10, shutdown=10, settings=3, certificate=20)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Some BMCs; the last one's certificate has ended."""
    state = tmp_path_factory.mktemp("bmc")
    ended = bmc_rig.machine(reference.datacentre(), ENDED, len(HOSTS) - 1)
    before = Rig(state, {ENDED: ended}, 0)
    before.place.mkdir(parents=True)
    fleets.prepare(before.settings, before.place, before.machines)
    end(before)
    with bmc_rig.running(state, HOSTS) as rig:
        yield rig


def end(rig: Rig) -> None:
    """Let the certificate of a BMC that does not run yet have ended yesterday."""
    path = rig.place / "certificates" / f"{ENDED}.pem"
    folder = fleets.authority(rig.settings).parent
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    old = x509.load_pem_x509_certificates(path.read_bytes())[0]
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(extensions=list(old.extensions))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    short = (
        builder.subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now - datetime.timedelta(days=1, hours=-1))
        .sign(key, hashes.SHA256())
    )
    private = path.read_text().partition("-----BEGIN CERTIFICATE")[0]
    path.write_text(private + short.public_bytes(serialization.Encoding.PEM).decode())


@pytest.fixture
def rig(fleet: Rig) -> Iterator[Rig]:
    fleet.faults()
    yield fleet
    fleet.faults()


@pytest.fixture
def signer(rig: Rig) -> Authority:
    return certifying.signer(rig.settings)


def stand(rig: Rig, *hosts: str, limits: Limits = LIMITS) -> Stand:
    return Stand(
        dc=rig.dc,
        devices={name: rig.dc.device(name) for name in hosts},
        targets={name: rig.target(name, patience=5, limits=limits) for name in hosts},
        unfit=(),
        snapshot=rig.dc.snapshot.hash,
        netbox_url="",
    )


def with_request(where: Stand, **changes: object) -> Stand:
    """The same, with BMCs of a family that asks for certificates otherwise."""
    targets = {}
    for name, target in where.targets.items():
        asked = msgspec.structs.replace(target.family.certificate, **changes)
        family = msgspec.structs.replace(target.family, certificate=asked)
        targets[name] = msgspec.structs.replace(target, family=family)
    return msgspec.structs.replace(where, targets=targets)


def quiet(*_words: object) -> None:
    """Hears nothing."""


def told(outcome: Outcome[Certificate]) -> dict[str, str]:
    return {failure.host: f"{failure.message}; {failure.remedy}" for failure in outcome.failed}


def found(where: Stand, seen: Mapping[str, Certificate], days: int = 30) -> dict[str, list[str]]:
    judged = certifying.findings(where, seen, days)
    assert {f.rule for each in judged.values() for f in each} <= {CERTIFICATE}
    return {name: [f.found for f in each] for name, each in judged.items() if each}


def served(rig: Rig, host: str) -> x509.Certificate:
    """What the BMC serves now, by nothing of ours."""
    pem = ssl.get_server_certificate((rig.machines[host].address, rig.port))
    return x509.load_pem_x509_certificate(pem.encode())


# -- looking --------------------------------------------------------------------------------------


def test_a_look_says_whose_certificate_it_is_by_whom_and_how_long(rig: Rig) -> None:
    where = stand(rig, *HOSTS[1:8])
    outcome = certifying.look(where, quiet)
    assert not outcome.failed
    seen = outcome.done[HOSTS[1]]
    assert seen.subject == f"CN={HOSTS[1]}"
    assert seen.names == (HOSTS[1], rig.machines[HOSTS[1]].address)
    assert seen.issuer == "CN=chapelle lab BMC authority"
    assert (seen.trusted, seen.named, seen.days) == (True, True, 3649)
    assert seen.sha256 == served(rig, HOSTS[1]).fingerprint(hashes.SHA256()).hex()
    assert found(where, outcome.done) == {}
    assert found(where, outcome.done, 3650)[HOSTS[1]] == ["3649 days"]


def test_what_is_wrong_with_certificates_is_found_without_logging_in(rig: Rig) -> None:
    strange, bare, silent = HOSTS[1:4]
    rig.faults(**{strange: {"stranger": 1}, bare: {"no-certificate": 1}, silent: {"silent": 1}})
    where = stand(rig, strange, bare, silent, ENDED)
    elsewhere = msgspec.structs.replace(where.targets[silent], name="bmc.example.org")
    where = msgspec.structs.replace(where, targets={**where.targets, silent: elsewhere})
    outcome = certifying.look(where, quiet)
    assert not outcome.failed
    assert found(where, outcome.done) == {
        strange: ["self-signed certificate; signed by CN=stranger", "one for stranger, 192.0.2.1"],
        bare: [f"none: {outcome.done[bare].problem}"],
        silent: [f"one for {silent}, {rig.machines[silent].address}"],
        ENDED: [
            "certificate has expired; signed by CN=chapelle lab BMC authority",
            "-1 days",
        ],
    }
    assert "handshake failure" in outcome.done[bare].problem


def test_a_bmc_that_does_not_answer_has_failed(rig: Rig) -> None:
    rig.faults(**{HOST: {"unreachable": 1}})
    with pytest.raises(UnreachableError, match="does not answer"):
        certificates.look(rig.target(HOST, patience=1))


# -- renewing -------------------------------------------------------------------------------------


def test_a_bmc_makes_its_own_key_and_serves_the_new_certificate(
    rig: Rig, signer: Authority
) -> None:
    before = served(rig, HOST)
    where = stand(rig, HOST)
    outcome = certifying.renew(where, signer, quiet)
    assert told(outcome) == {}
    after = served(rig, HOST)
    assert outcome.done[HOST].sha256 == after.fingerprint(hashes.SHA256()).hex()
    assert after.public_key() != before.public_key(), "the key is a new one"
    assert outcome.done[HOST].days == 396
    # The BMC puts its address into the request as a DNS name, as some do; the names are ours.
    assert outcome.done[HOST].names == (rig.machines[HOST].address,)
    assert found(where, certifying.look(where, quiet).done) == {}
    with Bmc(rig.target(HOST)) as bmc:
        assert bmc.power() == "off"

    again = certifying.renew(where, signer, quiet)
    assert again.done[HOST].sha256 != outcome.done[HOST].sha256


def test_the_dns_name_of_netbox_is_in_the_certificate(rig: Rig, signer: Authority) -> None:
    where = stand(rig, HOSTS[4])
    target = msgspec.structs.replace(where.targets[HOSTS[4]], name=HOSTS[4])
    where = msgspec.structs.replace(where, targets={HOSTS[4]: target})
    outcome = certifying.renew(where, signer, quiet)
    assert outcome.done[HOSTS[4]].names == (HOSTS[4], target.address)


def test_a_family_says_which_key_its_bmcs_make(rig: Rig, signer: Authority) -> None:
    where = with_request(stand(rig, HOSTS[4]), algorithm="TPM_ALG_RSA", curve="", bits=2048)
    assert told(certifying.renew(where, signer, quiet)) == {}
    key = served(rig, HOSTS[4]).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    weak = with_request(where, bits=1024)
    assert "expected a key of 2048 bits" in told(certifying.renew(weak, signer, quiet))[HOSTS[4]]
    assert served(rig, HOSTS[4]).public_key() == key
    unknown = with_request(where, algorithm="DSA")
    assert "there are no keys DSA" in told(certifying.renew(unknown, signer, quiet))[HOSTS[4]]


def test_bmcs_that_cannot_or_do_not_are_told_and_keep_what_they_had(
    rig: Rig, signer: Authority
) -> None:
    expected = {
        "no-request": "expected the action CertificateService.GenerateCSR (DSP2046, "
        "CertificateService), found CertificateService.ReplaceCertificate; see whether newer",
        "refuses-certificate": "The certificate is not accepted.",
        "stale-certificate": "took a certificate, and serves another",
        "wrong-serial": "is not the machine that NetBox means",
        "stranger": "cannot be trusted",
        "no-certificate": "does not answer",
    }
    broken = dict(zip(HOSTS[1:7], expected, strict=True))
    before = {host: served(rig, host) for host, fault in broken.items()}
    rig.faults(**{host: {fault: 1} for host, fault in broken.items()})
    hasty = msgspec.structs.replace(LIMITS, certificate=2)
    outcome = certifying.renew(stand(rig, *broken, HOST, limits=hasty), signer, quiet)
    assert list(outcome.done) == [HOST]
    failed = told(outcome)
    for host, fault in broken.items():
        assert expected[fault] in failed[host], f"{fault}: {failed[host]}"
    rig.faults()
    for host, old in before.items():
        assert served(rig, host) == old


def test_a_family_whose_bmcs_want_a_restart_gets_one(rig: Rig, signer: Authority) -> None:
    host = HOSTS[2]
    rig.faults(**{host: {"stale-certificate": 1}})
    where = with_request(stand(rig, host), restart=True)
    with Bmc(rig.target(host)) as bmc:
        bmc.switch("on")
    assert told(certifying.renew(where, signer, quiet)) == {}
    with Bmc(rig.target(host)) as bmc:
        assert bmc.power() == "on", "the BMC was restarted, and not the server"
        bmc.switch("off")


def test_an_answer_that_is_lost_is_made_up_for_by_looking(rig: Rig, signer: Authority) -> None:
    rig.faults(**{HOST: {"lost-answer": 1}})
    before = served(rig, HOST)
    assert told(certifying.renew(stand(rig, HOST), signer, quiet)) == {}
    assert served(rig, HOST) != before


# -- known by a fingerprint -----------------------------------------------------------------------


def test_a_strange_certificate_is_replaced_if_its_fingerprint_is_known(
    rig: Rig, signer: Authority, tmp_path: Path
) -> None:
    strange, other = HOSTS[3], HOSTS[5]
    rig.faults(**{strange: {"stranger": 1}, other: {"stranger": 1}})
    where = stand(rig, strange, other, ENDED)
    digests = {host: served(rig, host).fingerprint(hashes.SHA256()) for host in where.targets}
    path = tmp_path / "fingerprints.yml"
    path.write_text(
        f'{strange}: "{digests[strange].hex(":").upper()}"\n'
        f'{other}: "{"00" * 32}"\n'
        f'{ENDED}: "{digests[ENDED].hex()}"\n'
    )
    outcome = certifying.renew(certifying.pinned(where, path), signer, quiet)
    assert list(outcome.done) == [strange, ENDED]
    assert f"expected the certificate with SHA-256 {'00' * 32}" in told(outcome)[other]
    with Bmc(rig.target(strange)) as bmc:
        assert bmc.power() == "off"
    with Bmc(rig.target(ENDED)) as bmc:
        assert bmc.power() == "off"
    with pytest.raises(StrangerError):
        Bmc(rig.target(other))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("compute-a1-01: 'not hex'", "matches"),
        ("compute-a9-99: '" + "ab" * 32 + "'", "names of servers in NetBox"),
        ("- compute-a1-01", "a mapping"),
    ],
)
def test_a_mistake_in_the_fingerprints_is_told(
    rig: Rig, tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "fingerprints.yml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        certifying.pinned(stand(rig, HOST), path)
    assert expected in str(caught.value)


# -- who signs ------------------------------------------------------------------------------------


def authority(folder: Path, key: ec.EllipticCurvePrivateKey, *, ca: bool = True) -> Path:
    """A directory with an authority. Returns its certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=40))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made.public_bytes(pem))
    (folder / "ca.key").touch(0o600)
    (folder / "ca.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.pem"


def request(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bank.example.org")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM).decode()


def test_an_authority_signs_with_our_names_and_not_for_longer_than_it_holds(
    tmp_path: Path,
) -> None:
    path = authority(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    asking = ec.generate_private_key(ec.SECP256R1())
    signer = Authority(tmp_path, path)
    made = signer.sign(request(asking), "server-1", ["bmc-1.example.org", "192.0.2.7"])
    assert made.public_key() == asking.public_key()
    assert b"bank.example.org" not in made.public_bytes(serialization.Encoding.DER)
    assert made.not_valid_after_utc == signer._certificate.not_valid_after_utc
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(path.read_bytes()))
    with pytest.raises(ChapelleError, match="is not signed") as caught:
        signer.sign(request(ed25519.Ed25519PrivateKey.generate()), "server-1", ["192.0.2.7"])
    assert caught.value.found == "Ed25519PublicKey"
    with pytest.raises(ChapelleError, match="is not signed"):
        signer.sign("nothing", "server-1", ["192.0.2.7"])
    forged = request(asking).splitlines()
    forged[2] = forged[2][::-1]
    with pytest.raises(ChapelleError, match="is not signed"):
        signer.sign("\n".join(forged), "server-1", ["192.0.2.7"])


def test_what_is_no_authority_of_ours_signs_nothing(tmp_path: Path) -> None:
    path = authority(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    key = tmp_path / authorities.KEY
    key.chmod(0o644)
    with pytest.raises(RefusedError, match="not private"):
        Authority(tmp_path, path)
    key.chmod(0o600)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(path.read_bytes())
    other = tmp_path / "other"
    other.mkdir()
    authority(other, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(InputError) as caught:
        Authority(other, trusted)
    assert f"one of those in {trusted}" in str(caught.value)
    key.write_bytes((other / "ca.key").read_bytes())
    with pytest.raises(InputError) as caught:
        Authority(tmp_path, trusted)
    assert "the key of another" in str(caught.value)
    trusted.write_bytes(
        authority(other, ec.generate_private_key(ec.SECP256R1()), ca=False).read_bytes()
    )
    with pytest.raises(InputError) as caught:
        Authority(other, trusted)
    assert "CA:TRUE" in str(caught.value)
    key.write_text("no key")
    with pytest.raises(InputError) as caught:
        Authority(tmp_path, path)
    assert "without passphrase" in str(caught.value)


def test_a_site_has_to_say_who_signs(rig: Rig, tmp_path: Path) -> None:
    paths = {
        "bmc_ca": fleets.authority(rig.settings),
        "bmc_logins": fleets.credentials(rig.settings),
    }
    site = msgspec.structs.replace(rig.settings, target="site", **paths)
    with pytest.raises(InputError) as caught:
        certifying.signer(site)
    assert caught.value.where == "environment variable CHAPELLE_BMC_SIGNER"
    folder = fleets.authority(rig.settings).parent
    certifying.signer(msgspec.structs.replace(site, bmc_signer=folder))
