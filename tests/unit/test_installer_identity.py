"""What the installer writes into the new system, below a directory that stands for it."""

import subprocess
from pathlib import Path

import msgspec
import pytest
from test_installer_gates import HOST, MACS, ordered, received, seen

from chapelle.installer import cpio, data, identity, partition, programs, starting

UUIDS = {
    partition.ROOT_ARRAY: "aaaa",
    partition.ROOT: "bbbb",
    partition.BOOT_ARRAY: "cccc",
    "/dev/vda2": "EEE1",
    "/dev/vdb2": "EEE2",
}
ARRAYS = "ARRAY /dev/md/root metadata=1.2 name=host:root UUID=1:2:3:4\n"


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The new root; programs that look at disks say what they would of a machine."""
    for module in (identity, data, starting):
        monkeypatch.setattr(module, "TARGET", str(tmp_path))

    def run(*command: str, **_: object) -> str:
        return UUIDS[command[-1]] if command[0] == "blkid" else ARRAYS

    monkeypatch.setattr(programs, "run", run)
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/initrd.img-6.1").write_bytes(b"odd")
    return tmp_path


def give(target: Path) -> None:
    order = received(ordered())
    assert order.identity is not None
    found = {disk.serial: disk for disk in seen().disks}
    identity.give(order, order.identity)
    identity.mounts(order, [(disk, found[disk.serial]) for disk in order.of("write")])


def test_the_system_has_the_names_and_keys_of_its_host(target: Path) -> None:
    give(target)
    assert (target / "etc/hostname").read_text() == f"{HOST}\n"
    assert f"127.0.1.1 {HOST}.example {HOST}\n" in (target / "etc/hosts").read_text()
    key = target / "etc/ssh/ssh_host_ed25519_key"
    assert key.read_text() == "PRIVATE"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.with_name("ssh_host_ed25519_key-cert.pub").read_text() == "cert\n"
    assert (target / "etc/ssh/user_ca.pub").read_text() == "ssh-ed25519 BBBB\n"
    assert (target / "etc/motd").read_text() == "hello"
    for name, mac in MACS.items():
        link = (target / f"etc/systemd/network/10-chapelle-{name}.link").read_text()
        assert f"MACAddress={mac}\n" in link
        assert f"Name={name}\n" in link


def test_a_link_in_the_image_does_not_lead_a_secret_elsewhere(target: Path) -> None:
    (target / "etc/ssh").mkdir(parents=True)
    elsewhere = target / "elsewhere"
    (target / "etc/ssh/ssh_host_ed25519_key").symlink_to(elsewhere)
    give(target)
    assert not elsewhere.exists()


def test_the_system_opens_and_mounts_its_own_disks(target: Path) -> None:
    give(target)
    crypttab = (target / "etc/crypttab").read_text().splitlines()[1:]
    mark = next(disk.mark for disk in ordered().disks if disk.name == "data-1")
    assert crypttab == [
        "root UUID=aaaa none luks,initramfs",
        f"data-1 UUID={mark} /etc/cryptsetup-keys.d/data-1.key luks,nofail",
    ]
    fstab = (target / "etc/fstab").read_text().splitlines()[1:]
    assert [line.split()[:3] for line in fstab] == [
        ["UUID=bbbb", "/", "ext4"],
        ["UUID=cccc", "/boot", "ext4"],
        ["UUID=EEE1", "/boot/efi", "vfat"],
        ["UUID=EEE2", "/boot/efi2", "vfat"],
        ["/dev/mapper/data-1", "/srv/data-1", "xfs"],
    ]
    assert (target / "srv/data-1").is_dir()
    assert ARRAYS in (target / "etc/mdadm/mdadm.conf").read_text()


def test_the_initramfs_is_completed_with_what_is_this_hosts(target: Path) -> None:
    give(target)
    starting.complete_initramfs(identity.EARLY_NETWORK)
    whole = (target / "boot/initrd.img-6.1").read_bytes()
    assert whole.startswith(b"odd\0")  # the next archive begins at a multiple of four
    for content in (
        b"root UUID=aaaa none luks\n",
        ARRAYS.encode(),
        f"MAC={MACS['eno1']}\nADDRESS=10.0.0.5/24\nGATEWAY=\nVLAN=202\n".encode(),
        f"MACAddress={MACS['eno2']}".encode(),
    ):
        assert content in whole
    assert cpio.archive({})[:6] == b"070701"
    assert b"PRIVATE" not in whole


def test_the_early_network_is_what_a_shell_reads(target: Path) -> None:
    give(target)
    said = subprocess.run(
        ["sh", "-euc", '. "$1"; echo "$MAC $ADDRESS $VLAN $TANG"', "sh",
         f"{target}{identity.EARLY_NETWORK}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == f"{MACS['eno1']} 10.0.0.5/24 202 http://10.0.0.1\n"


def test_an_order_without_an_early_network_writes_none(target: Path) -> None:
    order = received(msgspec.structs.replace(ordered(), network=None))
    assert order.identity is not None
    identity.give(order, order.identity)
    assert not Path(f"{target}{identity.EARLY_NETWORK}").exists()
