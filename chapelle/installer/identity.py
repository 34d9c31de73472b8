"""Who the new system is: names, keys, addresses, and which disks it mounts."""

import os
from pathlib import Path

from chapelle.installer import data, partition, programs
from chapelle.installer.machine import SeenDisk
from chapelle.installer.order import Disk, Identity, Order
from chapelle.installer.partition import TARGET

_HEADER = "# Written by the installer.\n"

# What the initramfs reads to reach the Tang servers; hook and script are in the image.
EARLY_NETWORK = "/etc/chapelle/initramfs-network"


def write(path: str, content: str, mode: int = 0o644) -> None:
    """Write a file of the new system; it has its mode before it has its content."""
    target = Path(TARGET + path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)


def give(order: Order, identity: Identity) -> None:
    """Write the files that make the system this host."""
    write("/etc/hostname", f"{identity.hostname}\n")
    names = " ".join(dict.fromkeys([identity.fqdn, identity.hostname]))
    write("/etc/hosts", f"{_HEADER}127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost\n")
    write("/etc/machine-id", f"{identity.machine_id}\n", 0o444)
    write("/etc/ssh/user_ca.pub", identity.user_authority.rstrip("\n") + "\n")
    for key in identity.host_keys:
        kind = key.public.split()[0].removeprefix("ssh-")
        stem = f"/etc/ssh/ssh_host_{kind}_key"
        write(stem, key.private, 0o600)
        write(f"{stem}.pub", key.public.rstrip("\n") + "\n")
        write(f"{stem}-cert.pub", key.certificate.rstrip("\n") + "\n")
    for port in order.machine.ports:
        text = f"{_HEADER}[Match]\nMACAddress={port.mac}\nType=ether\n\n[Link]\nName={port.name}\n"
        write(f"/etc/systemd/network/10-chapelle-{port.name}.link", text)
    for file in identity.files:
        write(file.path, file.content, file.mode)
    if order.network and order.encryption:
        network = order.network
        servers = " ".join(each.url for each in order.encryption.tang)
        write(
            EARLY_NETWORK,
            f"{_HEADER}MAC={network.mac.lower()}\nADDRESS={network.address}\n"
            f"GATEWAY={network.gateway}\nVLAN={network.vlan or ''}\nTANG='{servers}'\n"
            f"NEEDED={order.encryption.threshold}\n",
        )


def mounts(order: Order, chosen: list[tuple[Disk, SeenDisk]]) -> None:
    """Write which disks are opened, assembled and mounted at boot.

    Raises:
        Failed: a file system has no UUID.
    """
    tables = [
        f"{partition.ROOT_NAME} UUID={partition.uuid_of(partition.ROOT_ARRAY)} none luks,initramfs"
    ]
    systems = [
        f"UUID={partition.uuid_of(partition.ROOT)} / {order.layout.root_filesystem} defaults 0 1",
        f"UUID={partition.uuid_of(partition.BOOT_ARRAY)} /boot ext4 nodev,nosuid,noexec 0 2",
    ]
    for path, (_, seen) in zip(partition.esp_paths(), chosen, strict=True):
        uuid = partition.uuid_of(partition.part(seen, 2))
        # A server starts with one of its two disks, too.
        systems.append(f"UUID={uuid} /{path} vfat umask=0077,nofail 0 2")
    for disk in order.of("format", "mount"):
        tables.append(f"{disk.label} UUID={disk.mark} {data.KEYS}/{disk.label}.key luks,nofail")
        # By the name that crypttab gives what is inside: a label may stand on another disk, too.
        systems.append(f"/dev/mapper/{disk.label} {disk.mount} xfs nodev,nosuid,nofail 0 2")
        (Path(TARGET) / disk.mount.lstrip("/")).mkdir(parents=True, exist_ok=True)
        # While the disk is not mounted nothing can be written in its place, on the system's disks.
        programs.run("chattr", "+i", disk.mount, root=TARGET)
    write("/etc/crypttab", _HEADER + "".join(f"{line}\n" for line in tables))
    write("/etc/fstab", _HEADER + "".join(f"{line}\n" for line in systems))
    arrays = programs.run("mdadm", "--detail", "--scan")
    write("/etc/mdadm/mdadm.conf", f"{_HEADER}HOMEHOST <system>\nMAILADDR root\n{arrays}")
