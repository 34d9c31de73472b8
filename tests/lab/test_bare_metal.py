"""A server from no power to `active`, rebuilt, and retired, by the commands that an operator types.

Real NetBox, BMC, boot service, ramdisk, image, disks and Tang servers. The controller is killed at
each stage of the first run, and resumed; minutes each.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from operating import Ended, Installation, kill, wait_until

from chapelle import lab
from chapelle.lab import power, qemu, tang
from chapelle.model.outcome import DEPLOY_STEPS
from chapelle.plan import erasure as judging
from chapelle.run import prepare
from chapelle.run.deploy.escrow import PASSPHRASE, Escrow


def missing() -> str:
    """What this machine lacks for it."""
    programs = (name for name in ("dnsmasq", "mmdebstrap") if not shutil.which(name))
    return ", ".join([*qemu.missing(), *tang.missing(), *programs])


pytestmark = [
    pytest.mark.lab,
    pytest.mark.netbox,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}"),
]

HOST = "compute-a2-01"
SCOPE = f"--limit={HOST}"
# Disks as small as an installation allows: what is erased is read and written in full.
OS_GB, DATA_GB = 6, 1
DATA_SERIAL = "DATA-A2-01"
MOUNT = "/srv/data/01"
HOUR = 3600.0


class Room(Installation):
    """An installation with one machine, whose data disk is small enough to be read in full."""

    image = ""

    def prepare(self) -> None:
        """Describe the machine's disks in NetBox as they are in the lab."""
        items = self.netbox(
            "GET", "dcim/inventory-items/", params={"device": HOST, "limit": 0}
        ).json()["results"]
        disks = [item for item in items if item["name"].startswith("disk-os")]
        for item in disks:
            self.netbox(
                "PATCH",
                f"dcim/inventory-items/{item['id']}/",
                json={"custom_fields": {"disk_size_gb": OS_GB}},
            )
        self.netbox(
            "POST",
            "dcim/inventory-items/",
            json={
                "device": self.device(HOST)["id"],
                "name": "disk-data-01",
                "serial": DATA_SERIAL,
                "role": disks[0]["role"]["id"],
                "custom_fields": {"disk_purpose": "data", "disk_size_gb": DATA_GB},
            },
        )
        role = self.netbox("GET", "dcim/device-roles/", params={"slug": "storage"}).json()
        self.edit(HOST, {"role": role["results"][0]["id"]})

    def carry_out(self, *words: str) -> Ended:
        """Type a command for the machine, with time for what emulation takes."""
        done = self.end(self.start(*words, SCOPE, "--yes", "--json"), seconds=HOUR)
        print(done.err)
        return done

    def asked(self, command: str) -> str:
        """What the machine answers to a command, as an operator asks it."""
        done = self.invoke("lab.ssh", HOST, f"--command=sudo sh -euc '{command}'")
        assert done.code == 0, done
        return done.out

    def log_in(self, command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command on the machine as root, which reads `given`; however it ends."""
        program = self.settings.state / "ssh" / "ssh"
        return subprocess.run(
            [program, HOST, f"sudo sh -euc '{command}'"],
            input=given, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def restart(self) -> None:
        """Cut the machine's power, give it again, and wait until it lets us in."""
        machine = power.Power(self.settings)
        machine.power(HOST, "off")
        machine.power(HOST, "on")
        wait_until(lambda: self.log_in("true").returncode == 0, seconds=900)

    def opens(self, passphrase: str) -> set[str]:
        """What a passphrase does to the machine's encrypted disks: opens, shut."""
        tries = (
            "IFS= read -r key; for device in $(blkid -t TYPE=crypto_LUKS -o device); do "
            'printf %s "$key" | cryptsetup open --test-passphrase --key-file=- $device '
            "2>/dev/null && echo opens || echo shut; done"
        )
        return set(self.log_in(tries, given=f"{passphrase}\n").stdout.split())

    def said(self, done: Ended) -> str:
        """What to look at when a command did not do what it should."""
        return f"{done}\n{power.console(self.settings, HOST).read_text(errors='replace')[-3000:]}"

    @property
    def disks(self) -> list[Path]:
        """The machine's disks, as files."""
        return sorted((self.settings.state / "lab/nodes" / HOST).glob("disk-*.img"))


@pytest.fixture(scope="module")
def room(new_state) -> Iterator[Room]:
    settings = new_state()
    prepare.netbox(settings, print)
    made = Room(settings)
    made.prepare()
    done = made.end(made.start("image.build", "--json"), seconds=HOUR)
    assert done.code == 0, done
    made.image = json.loads(done.out)[0]["files"]["root.tar.zst"]["sha256"]
    done = made.invoke("lab.up", f"--machines={HOST}")
    assert done.code == 0, done
    yield made
    lab.down(settings)


def test_it_becomes_active_though_the_controller_is_killed_at_each_stage(room: Room) -> None:
    assert power.Power(room.settings).state(HOST) == "off"
    assert room.status(HOST) == "planned"
    words = ["provision", SCOPE]
    for step in DEPLOY_STEPS:
        started = room.start(*words, "--yes", "--json")
        run = room.wait_for_step(started, HOST, step, seconds=HOUR)
        kill(started)
        print("killed at", step, room.hosts(run)[HOST].steps)
        words = ["provision", f"--resume={run}"]
    done = room.end(room.start(*words, "--yes", "--json"), seconds=HOUR)
    assert done.code == 0, room.said(done)
    assert done.outcomes[HOST] == "changed"
    assert room.status(HOST) == "active"
    assert room.asked("cat /proc/mdstat").count("[UU]") == 2
    assert "crypto_LUKS" in room.asked("lsblk -nlo FSTYPE")
    assert room.asked("hostname").strip() == HOST
    assert room.device(HOST)["custom_fields"]["chapelle_facts"]["image"] == room.image
    room.asked(f"mountpoint -q {MOUNT}; echo precious >{MOUNT}/proof; sync")
    assert room.asked(f"cat {MOUNT}/proof") == "precious\n"


def test_a_server_that_needs_nothing_is_not_installed_again(room: Room) -> None:
    before = room.asked("cat /proc/sys/kernel/random/boot_id")
    done = room.carry_out("provision")
    assert done.code == 0, room.said(done)
    assert done.outcomes[HOST] == "unchanged"
    assert room.asked("cat /proc/sys/kernel/random/boot_id") == before


def test_one_of_two_tang_servers_is_enough_to_start(room: Room) -> None:
    first = sorted((room.settings.state / "lab/tang").iterdir())[0].name
    tang.stop(room.settings, first)
    room.restart()
    assert room.asked(f"cat {MOUNT}/proof") == "precious\n"
    assert room.invoke("lab.up", f"--machines={HOST}").code == 0


def test_new_keys_open_the_disks_and_the_old_passphrase_opens_none(room: Room) -> None:
    escrow = Escrow(room.settings)
    old = escrow.open(HOST, PASSPHRASE).decode()
    assert room.opens(old) == {"opens"}
    done = room.invoke("keys.rotate", SCOPE, "--yes")
    assert done.code == 0, room.said(done)
    new = escrow.open(HOST, PASSPHRASE).decode()
    assert new != old
    assert room.opens(new) == {"opens"}
    assert room.opens(old) == {"shut"}
    room.restart()


def test_a_rebuild_gives_the_same_server_with_its_data(room: Room) -> None:
    before = room.asked("cat /etc/machine-id")
    done = room.carry_out("rebuild", "--active")
    assert done.code == 0, room.said(done)
    assert room.status(HOST) == "active"
    assert room.asked("cat /etc/machine-id") == before
    assert room.asked(f"cat {MOUNT}/proof") == "precious\n"


def test_a_retired_server_holds_nothing_and_has_its_certificates(room: Room) -> None:
    done = room.carry_out("retire", "--active")
    assert done.code == 0, room.said(done)
    assert room.status(HOST) == "decommissioning"
    home = room.settings.state / "runs" / done.result["id"] / "certificates" / HOST
    certificates = [judging.read(path) for path in sorted(home.glob("erasure-*.json"))]
    assert len(certificates) == len(room.disks) == 3
    entries = "\n".join(room.entries(HOST))
    for each in certificates:
        for language in ("fr", "en"):
            paper = home / f"erasure-{each.result.serial}-{language}.pdf"
            assert paper.read_bytes().startswith(b"%PDF")
        assert each.assessment.level in {"clear", "purge"}
        assert each.result.encrypted
        assert each.result.verification is not None
        assert each.result.verification.samples.same == 0
        assert each.result.serial in entries
    for disk in room.disks:
        with disk.open("rb") as stream:
            assert not stream.read(64 << 20).strip(b"\0"), disk
    assert Escrow(room.settings).names(HOST) == ()
    # Nobody answers at its address, so nobody is taken for it.
    assert room.log_in("true").returncode != 0
