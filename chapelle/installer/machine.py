"""What this machine is: looked at, never taken from the order."""

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chapelle.installer import network, programs

_DMI = Path("/sys/class/dmi/id")

# A GPT has a protective partition table of the old kind before it (UEFI 2.10, 5.2.3).
_BESIDE_GPT = "PMBR"


@dataclass(frozen=True, kw_only=True)
class SeenPort:
    """A port, whether it has a carrier, and what LLDP says of its other end."""

    name: str
    mac: str
    carrier: bool
    switch: str
    switch_port: str


@dataclass(frozen=True, kw_only=True)
class SeenDisk:
    """A disk; `mark` is the UUID of its partition table or LUKS header."""

    path: str
    serial: str
    size_bytes: int
    model: str
    rotational: bool
    signatures: tuple[str, ...]
    mark: str
    busy: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The machine."""

    serial: str
    manufacturer: str
    model: str
    firmware: str
    tpm2: bool
    cpus: int
    memory_mib: int
    ports: tuple[SeenPort, ...]
    disks: tuple[SeenDisk, ...]

    def plain(self) -> dict[str, Any]:
        """As a report has it."""
        value = asdict(self)
        for disk in value["disks"]:
            del disk["busy"]
        return value


def look() -> Seen:
    """Look at the machine.

    Raises:
        Failed: a program of the ramdisk does not work.
    """
    return Seen(
        serial=_dmi("product_serial"),
        manufacturer=_dmi("sys_vendor"),
        model=_dmi("product_name"),
        firmware="uefi" if Path("/sys/firmware/efi").exists() else "bios",
        tpm2=Path("/dev/tpmrm0").exists(),
        cpus=os.cpu_count() or 0,
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        ports=ports(),
        disks=disks(),
    )


def ports() -> tuple[SeenPort, ...]:
    """The ports, with their neighbours as far as they have spoken."""
    near = neighbours()
    return tuple(
        SeenPort(
            name=name,
            mac=mac,
            carrier=network.carrier(name),
            switch=near.get(name, ("", ""))[0],
            switch_port=near.get(name, ("", ""))[1],
        )
        for name, mac in network.ports().items()
    )


def neighbours() -> dict[str, tuple[str, str]]:
    """Switch and port at the other end of each port of which LLDP has said something."""
    result = subprocess.run(
        ["lldpcli", "-f", "json0", "show", "neighbors"], capture_output=True, check=False
    )
    if result.returncode != 0:
        return {}
    found = {}
    for lldp in json.loads(result.stdout or b"{}").get("lldp", []):
        for interface in lldp.get("interface", []):
            chassis = interface.get("chassis", [{}])[0].get("name", [{}])[0].get("value", "")
            port = interface.get("port", [{}])[0].get("id", [{}])[0].get("value", "")
            found[interface["name"]] = (chassis, port)
    return found


def disks() -> tuple[SeenDisk, ...]:
    """The disks that are fixed; what can be taken out (a BMC's virtual media) is none."""
    text = programs.run(
        "lsblk", "--json", "--bytes", "--nodeps",
        "--output", "NAME,PATH,SERIAL,SIZE,MODEL,ROTA,TYPE,RM",
    )  # fmt: skip
    return tuple(
        _disk(each)
        for each in json.loads(text)["blockdevices"]
        if each["type"] == "disk" and not each["rm"] and each["size"]
        and not each["name"].startswith(("zram", "md", "ram", "nbd"))
    )  # fmt: skip


def _disk(known: dict[str, Any]) -> SeenDisk:
    path = known["path"]
    marks = json.loads(programs.run("wipefs", "--json", "--no-act", path) or "{}")
    found = [(each["type"], each["uuid"] or "") for each in marks.get("signatures", [])]
    names = {name for name, _ in found if name != _BESIDE_GPT}
    luks = [uuid for name, uuid in found if name == "crypto_LUKS"]
    table = (
        programs.run("blkid", "--probe", "-s", "PTUUID", "-o", "value", path)
        if "gpt" in names
        else ""
    )
    block = Path("/sys/class/block") / known["name"]
    parts = [block, *(each.parent for each in block.glob("*/partition"))]
    return SeenDisk(
        path=path,
        serial=(known["serial"] or "").strip(),
        size_bytes=known["size"],
        model=(known["model"] or "").strip(),
        rotational=bool(known["rota"]),
        signatures=tuple(sorted(names)),
        mark=(luks[0] if luks else table.strip()).lower(),
        busy=any(any((each / "holders").iterdir()) for each in parts),
    )


def _dmi(name: str) -> str:
    try:
        return (_DMI / name).read_text().strip()
    except OSError:
        return ""
