"""May this machine be written to? Pure: an order and what was seen in, a refusal or nothing out.

These rules are the third of three: the planner and the boot service have theirs, on purpose in code
of their own. docs/image.md has them as a table.
"""

from chapelle.installer.machine import Seen, SeenDisk, SeenPort
from chapelle.installer.order import Disk, Erasure, Machine, Order, Port
from chapelle.installer.stop import Refused

# Of a disk's size: makers round, and count in other units.
_TOLERANCE = 0.02

# Characters of a passphrase that was drawn by chance: 128 bits are 22 in base64. The derivation of
# the disks' keys from it is light, and relies on that.
_PASSPHRASE = 20

# What may be done to disks of a purpose, in each mode.
_PERMITTED = {
    "build": {"os": {"write"}, "data": {"format", "keep"}, "keep": {"keep"}},
    "rebuild": {"os": {"write"}, "data": {"mount", "keep"}, "keep": {"keep"}},
    # A disk to be kept is taken out of a machine before that machine is erased.
    "erase": {"os": {"erase"}, "data": {"erase"}},
}

# What we write onto a disk of a purpose, as wipefs(8) names it on the disk as a whole. Anything
# else is somebody else's, even beside our mark.
_OURS = {"os": {"gpt"}, "data": {"crypto_LUKS"}}


def hardware(order: Order, seen: Seen) -> None:
    """Is this the machine?

    Raises:
        Refused: it is another, or it does not say.
    """
    machine = order.machine
    for what, expected, found in (
        ("serial number", machine.serial, seen.serial),
        ("manufacturer", machine.manufacturer, seen.manufacturer),
        ("model", machine.model, seen.model),
    ):
        if not expected or not found or expected != found:
            raise Refused(
                f"this is not the machine that NetBox says: its {what} is another",
                expected=expected or f"a {what} in NetBox",
                found=found or "none",
            )
    wanted = {port.mac.lower() for port in machine.ports}
    have = {port.mac for port in seen.ports}
    if not wanted or wanted != have:
        raise Refused(
            "this machine's ports are others than NetBox says",
            expected=", ".join(sorted(wanted)) or "ports in NetBox",
            found=", ".join(sorted(have)) or "none",
        )
    if order.encryption and order.encryption.tpm2 and not seen.tpm2:
        raise Refused("the machine has no TPM", expected="a TPM 2.0", found="none")


def cabling(machine: Machine, ports: tuple[SeenPort, ...]) -> list[str]:
    """Is each port plugged in where NetBox says, as far as switches have spoken?

    Returns:
        The names of ports with a cable in NetBox at which nobody was heard.

    Raises:
        Refused: a port is plugged in elsewhere; if two are swapped, it says so.
    """
    by_mac = {port.mac: port for port in ports}
    silent, wrong = [], []
    for port in machine.ports:
        if not port.switch:
            continue
        seen = by_mac[port.mac.lower()]
        if not seen.switch:
            silent.append(port.name)
        elif (_short(seen.switch), seen.switch_port) != (_short(port.switch), port.switch_port):
            wrong.append((port, seen))
    if wrong:
        raise Refused(
            "a port is plugged in elsewhere than NetBox says"
            + (": two cables are swapped" if _swapped(wrong) else ""),
            expected=", ".join(f"{p.name} at {p.switch} {p.switch_port}" for p, _ in wrong),
            found=", ".join(f"{p.name} at {s.switch} {s.switch_port}" for p, s in wrong),
        )
    return silent


def _short(switch: str) -> str:
    return switch.partition(".")[0]


def _swapped(wrong: list[tuple[Port, SeenPort]]) -> bool:
    wanted = {(_short(port.switch), port.switch_port) for port, _ in wrong}
    return len(wrong) > 1 and wanted == {(_short(s.switch), s.switch_port) for _, s in wrong}


def guard(order: Order, disks: tuple[SeenDisk, ...]) -> dict[str, SeenDisk]:
    """Which disks may be written to: none unless all of them are as the order says.

    Returns:
        The disk of each serial number in the order.

    Raises:
        Refused: a disk is missing, unknown, of another size, in use, or holds what nobody named; or
            the order itself asks for what is never done.
    """
    _order_is_sound(order)
    by_serial: dict[str, SeenDisk] = {}
    for disk in disks:
        if not disk.serial:
            raise Refused("a disk has no serial number", expected="one", found=disk.path)
        if disk.serial in by_serial:
            raise Refused("two disks have one serial number", expected="one", found=disk.serial)
        by_serial[disk.serial] = disk
    known = {disk.serial for disk in order.disks}
    if strange := sorted(by_serial.keys() - known):
        raise Refused(
            "the machine has a disk that NetBox does not know",
            expected=", ".join(sorted(known)),
            found=", ".join(f"{serial} ({by_serial[serial].path})" for serial in strange),
        )
    if missing := sorted(known - by_serial.keys()):
        raise Refused(
            "a disk is missing",
            expected=", ".join(missing),
            found=", ".join(sorted(by_serial)) or "no disk",
        )
    for named in order.disks:
        _disk(named, by_serial[named.serial])
    return by_serial


def erasures(order: Order) -> list[tuple[Disk, Erasure]]:
    """The disks to be erased, each with how.

    Raises:
        Refused: the order says how for another disk or host, or does not say how for one.
    """
    by_serial = {each.serial: each for each in order.erasures}
    chosen = order.of("erase")
    if sorted(by_serial) != sorted(disk.serial for disk in chosen):
        raise Refused(
            "the order does not say for each disk how it is erased",
            expected=", ".join(sorted(disk.serial for disk in chosen)),
            found=", ".join(sorted(by_serial)) or "none",
        )
    for each in order.erasures:
        meant = (each.order.get("host"), each.order.get("serial"))
        if meant != (order.host, each.serial):
            raise Refused(
                "an erasure order is for another disk",
                expected=f"{order.host} {each.serial}",
                found=" ".join(map(str, meant)),
            )
    return [(disk, by_serial[disk.serial]) for disk in chosen]


def _order_is_sound(order: Order) -> None:
    for disk in order.disks:
        if disk.action not in _PERMITTED[order.mode].get(disk.purpose, set()):
            raise Refused(
                f"disk {disk.name} of purpose {disk.purpose!r} may not be treated so",
                expected=", ".join(sorted(_PERMITTED[order.mode].get(disk.purpose, {"a purpose"}))),
                found=f"{disk.action}, in mode {order.mode}",
            )
        if not disk.serial:
            raise Refused(f"disk {disk.name} has no serial number in NetBox", expected="one")
    if len({disk.serial for disk in order.disks}) < len(order.disks):
        raise Refused("the order names a disk twice", expected="each serial number once")
    if order.encryption and len(order.encryption.passphrase) < _PASSPHRASE:
        raise Refused(
            "the passphrase is too short", expected=f"{_PASSPHRASE} characters drawn by chance"
        )
    written = len(order.of("write"))
    if order.mode != "erase" and written != 2:
        raise Refused("the system stands on two disks", expected="2", found=str(written))


def _disk(disk: Disk, seen: SeenDisk) -> None:
    if disk.action == "keep":
        return
    where = f"disk {disk.name} ({disk.serial})"
    size = disk.size_gb * 10**9
    if abs(seen.size_bytes - size) > size * _TOLERANCE:
        raise Refused(
            f"{where} has another size",
            expected=f"{disk.size_gb} GB",
            found=f"{seen.size_bytes / 10**9:.1f} GB",
        )
    if seen.busy:
        raise Refused(f"{where} is in use", expected="nobody holding it", found=seen.path)
    ours = bool(disk.mark) and seen.mark == disk.mark.lower()
    if disk.action == "mount" and not ours:
        raise Refused(
            f"{where} is not the data disk that this host had",
            expected=f"a LUKS header {disk.mark}",
            found=_content(seen),
        )
    known = {*disk.may_hold, *(_OURS[disk.purpose] if ours else ())}
    if disk.action in {"write", "format", "erase"} and not known.issuperset(seen.signatures):
        raise Refused(
            f"{where} holds data that the plan does not name",
            expected="an empty disk, or what this host wrote on it and nothing else"
            + (f", or {', '.join(disk.may_hold)}" if disk.may_hold else ""),
            found=_content(seen),
        )


def _content(seen: SeenDisk) -> str:
    return f"{', '.join(seen.signatures) or 'nothing'}{f' {seen.mark}' if seen.mark else ''}"
