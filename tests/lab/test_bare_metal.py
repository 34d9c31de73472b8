"""A machine from powered off to a system that lets us in, rebuilt with its data, and erased.

Through its BMC, the boot service, the ramdisk and the disks' encryption, all real; minutes each.
"""

from collections.abc import Iterator

import bare_site
import pytest
from bare_site import HOST, Site

from chapelle.lab import power, tang
from chapelle.model.erasure import Certificate
from chapelle.model.outcome import DEPLOY_STEPS, StepResult
from chapelle.plan import erasure
from chapelle.run.deploy.certify import Evidence
from chapelle.run.deploy.contact import Contact
from chapelle.run.deploy.escrow import PASSPHRASE, Escrow
from chapelle.run.deploy.rotate import renew

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(bool(bare_site.missing()), reason=f"needs {bare_site.missing()}"),
]

MOUNT = "/srv/data/01"
PROOF = "what the data disk holds"
GOOD = {"ok", "changed"}


@pytest.fixture(scope="module")
def site(new_lab) -> Iterator[Site]:
    found = Site(new_lab())
    yield found
    found.power.power(HOST, "off")
    found.journal.close()


def said(site: Site, steps: dict[str, StepResult]) -> str:
    """What to look at when a run did not come through."""
    lines = [f"{name} {step.outcome}: {step.message}" for name, step in steps.items()]
    return "\n".join([*lines, site.console()])


def asked(site: Site, command: str) -> str:
    done = site.contact().run(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_machine_goes_from_no_power_to_a_system_on_mirrored_encrypted_disks(site: Site) -> None:
    assert site.power.state(HOST) == "off"
    came, steps = site.carry_out("provision", "planned", "run-build")
    assert came == [HOST], said(site, steps)
    assert {steps[name].outcome for name in DEPLOY_STEPS} <= GOOD
    assert "crypto_LUKS" in asked(site, "lsblk -nlo FSTYPE")
    assert asked(site, "cat /proc/mdstat").count("[UU]") == 2
    assert asked(site, "hostname").strip() == HOST
    asked(site, f"mountpoint -q {MOUNT}; printf '{PROOF}' >{MOUNT}/proof; sync")


def test_one_of_two_tang_servers_is_enough_to_start(site: Site) -> None:
    tang.stop(site.settings, "10.64.0.31")
    site.power.power(HOST, "off")
    site.power.power(HOST, "on")
    assert site.answers(900), site.console()
    assert asked(site, f"cat {MOUNT}/proof") == PROOF
    site.up()


def test_new_keys_open_the_disks_and_the_old_passphrase_opens_none(site: Site) -> None:
    escrow = Escrow(site.settings)
    old = escrow.open(HOST, PASSPHRASE).decode()
    renew(site.contact(), escrow, site.pins())
    new = escrow.open(HOST, PASSPHRASE).decode()
    assert new != old
    tries = (
        "IFS= read -r key; for device in $(blkid -t TYPE=crypto_LUKS -o device); do "
        'printf %s "$key" | cryptsetup open --test-passphrase --key-file=- "$device" '
        "2>/dev/null && echo opens || echo shut; done"
    )
    assert set(site.contact().run(tries, secret=f"{new}\n").stdout.split()) == {"opens"}
    assert set(site.contact().run(tries, secret=f"{old}\n").stdout.split()) == {"shut"}
    site.power.power(HOST, "off")
    site.power.power(HOST, "on")
    assert site.answers(900), site.console()


def test_a_rebuild_gives_the_same_machine_with_its_data(site: Site) -> None:
    before = asked(site, "cat /etc/machine-id")
    came, steps = site.carry_out("rebuild", "active", "run-rebuild")
    assert came == [HOST], said(site, steps)
    assert asked(site, "cat /etc/machine-id") == before
    assert asked(site, f"cat {MOUNT}/proof") == PROOF


def test_a_retired_machine_has_certificates_that_reading_back_has_proved(site: Site) -> None:
    came, steps = site.carry_out("retire", "failed", "run-retire")
    assert came == [HOST], said(site, steps)
    made = Evidence(site.directory("run-retire")).certify(
        site.dc("failed"), site.dc("failed").device(HOST), run="run-retire", plan="p", operator="o"
    )
    assert len(made) == 3
    for each in made:
        assert each.assessment.level in {"clear", "purge"}
        assert each.result.encrypted
        assert each.result.verification is not None
        assert each.result.verification.samples.same == 0
        assert reread(site, each) == each
    for disk in (site.settings.state / "lab/nodes" / HOST).glob("disk-*.img"):
        with disk.open("rb") as stream:
            assert not stream.read(64 << 20).strip(b"\0"), disk
    assert power.console(site.settings, HOST).exists()


def reread(site: Site, made: Certificate) -> Certificate:
    """The certificate as its file says it, judged again."""
    home = site.directory("run-retire") / "certificates" / HOST
    return erasure.read(home / f"erasure-{made.result.serial}.json")


def test_the_way_to_the_host_is_not_open_to_another_key(site: Site) -> None:
    """Nobody answers at the address of an erased host, so nobody is taken for it."""
    assert Contact(site.settings, HOST, site.address()).installed_by() is None
