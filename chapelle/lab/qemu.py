"""A node with firmware and disks: QEMU, switched on and off as a server is by its BMC.

The processor is emulated (TCG) everywhere alike: not every machine has KVM, and under a hypervisor
that itself only half offers it firmware hangs. Network ports are tap devices in the hub's bridges.
The ports' place in the order of boot can be changed while QEMU runs, and counts from its next reset
on; so an override that counts once is one that is taken back as soon as QEMU has started.
Sources: QEMU 7.2, "Invocation" and docs/bootindex.txt; EDK II, OvmfPkg/README (fw_cfg switches).
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from chapelle.errors import ChapelleError
from chapelle.lab import cgroup, files, wires
from chapelle.lab.machine import Machine
from chapelle.lab.ports import wrong
from chapelle.lab.qmp import SOCKET
from chapelle.lab.spec import Node

Firmware = Literal["bios", "uefi"]
# What a machine boots from first: its network by PXE, its network by UEFI HTTP boot, its disks, or
# its CD drive.
Source = Literal["disk", "network", "http", "cd"]

PROGRAM = "qemu-system-x86_64"
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
PROGRAMS = {PROGRAM: "qemu-system-x86", "swtpm": "swtpm"}

MEMORY_MB = 2048
PROCESSORS = 2
GB = 1_000_000_000
TPM_SOCKET = "tpm.sock"
CONSOLE = "console.log"
# What is in the CD drive, while something is.
MEDIUM = "medium.iso"

# Enters the control groups whose files it is given, after their number; starts the TPM, which ends
# when QEMU does; and becomes QEMU, which goes to the background when it is ready.
_START = (
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ >"$1"; shift; n=$((n - 1)); done; '
    "swtpm socket --tpm2 --tpmstate dir=tpm --ctrl type=unixio,path=tpm.sock --terminate & "
    "while [ ! -S tpm.sock ] && kill -0 $!; do sleep 0.05; done; "
    'exec "$@" -daemonize'
)
START_SECONDS = 60

# Places in the order of boot: the CD drive's and the network's when they come first, the disks',
# and the others' after. No place is ever that of another, so they can change in any order.
CD_FIRST, FIRST, DISKS, LAST, CD_LAST = 0, 1, 101, 201, 301
CD = "cd"


def missing() -> Mapping[str, str]:
    """What such nodes need and the machine lacks: program and the package that brings it."""
    found = {name: package for name, package in PROGRAMS.items() if not shutil.which(name)}
    return found if OVMF_CODE.exists() else {**found, str(OVMF_CODE): "ovmf"}


def machine_of(node: Node) -> Machine:
    """What a node is made of.

    Raises:
        InputError: it is no such node.
    """
    if node.machine is None:
        raise wrong("node", f"node {node.name}", "one of kind qemu", node.kind)
    return node.machine


def prepare(node: Node, home: Path) -> None:
    """Make a node's disks, its firmware's memory and its TPM, where there are none yet."""
    files.directory(home)
    files.directory(home / "tpm")
    for disk in machine_of(node).disks:
        path = home / f"disk-{disk.serial}.img"
        if not path.exists():
            with path.open("wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.truncate(disk.size_gb * GB)
    if not (home / "vars.fd").exists():
        shutil.copyfile(OVMF_VARS, home / "vars.fd")


def places(node: Node, source: Source) -> dict[str, int]:
    """The places in the order of boot of network ports and CD drive, by QEMU's names for them."""
    first = FIRST if source in {"network", "http"} else LAST
    ports = {port_id(number): first + number for number in range(len(node.ports))}
    return {CD: CD_FIRST if source == "cd" else CD_LAST, **ports}


def port_id(number: int) -> str:
    """QEMU's name for a network port."""
    return f"port{number}"


def inserting(image: Path) -> tuple[str, dict[str, Any]]:
    """The command of QMP that puts an image into the CD drive."""
    return "blockdev-change-medium", {
        "id": CD, "filename": str(image), "format": "raw", "read-only-mode": "read-only",
    }  # fmt: skip


def ejecting() -> tuple[str, dict[str, Any]]:
    """The command of QMP that empties the CD drive, also while the system holds it closed."""
    return "eject", {"id": CD, "force": True}


def arguments(node: Node, firmware: Firmware, source: Source, *, medium: bool = False) -> list[str]:
    """QEMU's command line; paths are relative to the node's directory.

    Arguments:
        node: which node.
        firmware: which kind it has.
        source: what it boots from first.
        medium: something is in its CD drive.
    """
    machine = machine_of(node)
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{node.name}/{machine.serial}")
    found = [
        PROGRAM, "-name", node.name, "-nodefaults", "-display", "none", "-no-user-config",
        "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", str(PROCESSORS), "-m", str(MEMORY_MB), "-uuid", str(identity),
        "-smbios", "type=1,manufacturer={},product={},serial={}".format(
            *(_escaped(text) for text in (machine.manufacturer, machine.model, machine.serial))
        ),
        "-chardev", f"file,id=console,path={CONSOLE},append=on", "-serial", "chardev:console",
        "-qmp", f"unix:{SOCKET},server=on,wait=off",
        "-object", "rng-random,id=random,filename=/dev/urandom",
        "-device", "virtio-rng-pci,rng=random",
        "-chardev", f"socket,id=tpm,path={TPM_SOCKET}", "-tpmdev", "emulator,id=tpm,chardev=tpm",
        "-device", "tpm-crb,tpmdev=tpm",
    ]  # fmt: skip
    if firmware == "uefi":
        code = f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}"
        found += ["-drive", code, "-drive", "if=pflash,format=raw,unit=1,file=vars.fd"]
        if source == "http":
            for family in ("IPv4", "IPv6"):
                found += ["-fw_cfg", f"name=opt/org.tianocore/{family}PXESupport,string=n"]
    for number, disk in enumerate(machine.disks):
        path = f"file=disk-{disk.serial}.img,if=none,id=disk{number},format=raw,cache=writeback"
        device = f"virtio-blk-pci,drive=disk{number},serial={disk.serial}"
        if disk.purpose == "os":
            device += f",bootindex={DISKS + number}"
        found += ["-drive", f"{path},discard=unmap,detect-zeroes=unmap", "-device", device]
    # OVMF has a driver of its own; with the card's program, which is iPXE, nothing else would be
    # tried. SeaBIOS has none: there iPXE is the card's program, as PXE is on a server's card.
    program = ",romfile=" if firmware == "uefi" else ""
    order = places(node, source)
    for number, port in enumerate(node.ports):
        name = port_id(number)
        tap = wires.port_name(node.name, port.name)
        address = f",mac={port.mac.lower()}" if port.mac else ""
        found += [
            "-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no",
            "-device", f"virtio-net-pci,id={name},netdev=net{number}{address}"
            f",bootindex={order[name]}{program}",
        ]  # fmt: skip
    if medium:
        found += ["-drive", f"file={MEDIUM},if=none,id=medium,format=raw,media=cdrom,readonly=on"]
    drive = ",drive=medium" if medium else ""
    return [*found, "-device", f"ide-cd,id={CD}{drive},bootindex={order[CD]}"]


def _escaped(text: str) -> str:
    """A text as QEMU's options take it: a comma is written twice."""
    return text.replace(",", ",,")


def launch(
    node: Node,
    home: Path,
    *,
    firmware: Firmware,
    source: Source,
    groups: cgroup.Tree,
    hub: Path,
) -> None:
    """Switch a node on. It goes on when we end. May be called from any thread.

    Arguments:
        node: which node; it has been prepared.
        home: its directory.
        firmware: which kind it has now.
        source: what it boots from first.
        groups: where its control group is to be.
        hub: the hub's network namespace.

    Raises:
        ChapelleError: it cannot be started.
    """
    for name in (SOCKET, TPM_SOCKET):
        (home / name).unlink(missing_ok=True)
    group = [str(each / "cgroup.procs") for each in groups.group(node.name)]
    # Who is in the hub already, a BMC, does not see where it is mounted.
    enter = ["nsenter", f"--net={hub}"] if wires.is_namespace(hub) else []
    enter += ["/bin/sh", "-ec", _START, "sh", str(len(group)), *group]
    medium = (home / MEDIUM).exists()
    try:
        found = _run([*enter, *arguments(node, firmware, source, medium=medium)], home)
    except (OSError, subprocess.SubprocessError) as error:
        found = str(error)
    if found:
        groups.kill([node.name])
        raise ChapelleError(
            "A node cannot be switched on.",
            where=f"node {node.name}",
            expected="QEMU and its TPM to start",
            found=f"{found}; {_last_words(home)}",
        )


def _run(command: list[str], home: Path) -> str:
    """What is wrong with a command that has ended; nothing if it did what it should."""
    with (home / "qemu.log").open("ab") as log:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home)},
            timeout=START_SECONDS,
            start_new_session=True,
            check=False,
        )
    return f"exit status {done.returncode}" if done.returncode else ""


def _last_words(home: Path) -> str:
    text = (home / "qemu.log").read_text(errors="replace").strip()
    return text.splitlines()[-1] if text else "it said nothing"
