"""The disk guard: which disks of a host may be changed. Nothing is written to any other.

The table below is the rule; docs/storage.md gives it to people, and the installer has it once more,
on its own. A disk that is not in order stops the host as a whole: a machine that is not what NetBox
says may be another machine.

Source of the accidents that this is to prevent: hosts that booted into an installer by mistake,
where a name such as `sda` was taken for a disk.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chapelle.model.disks import (
    DESTRUCTIVE,
    OURS,
    PURPOSES,
    Action,
    Disk,
    Grant,
    Mode,
    Named,
    Observed,
    Stop,
    Verdict,
)

# What is done to a disk, by what it is for and what the machine is booted for, and why. What is not
# here is a stop.
RULES: dict[tuple[str, Mode], tuple[Action, str]] = {
    ("os", "build"): ("write", "the system is put there"),
    ("os", "rebuild"): ("write", "the system is put there again"),
    ("os", "retire"): ("erase", "the host is retired"),
    ("data", "build"): ("format", "the host is built for the first time"),
    ("data", "rebuild"): ("mount", "a rebuild keeps data"),
    ("data", "retire"): ("erase", "the host is retired"),
    ("keep", "build"): ("keep", "it is to be kept"),
    ("keep", "rebuild"): ("keep", "it is to be kept"),
}

# Of a disk's size in NetBox: makers round, and count in other units.
_TOLERANCE = 0.02

# The statuses in NetBox of a host that can be one built for the first time.
_NEW = frozenset({"planned", "staged"})


def judge(
    host: str,
    status: str,
    mode: Mode,
    disks: Sequence[Disk],
    *,
    os_disks: int,
    observed: Sequence[Observed] | None = None,
    named: Mapping[str, Named] | None = None,
) -> Verdict:
    """What may be done to the disks of a host.

    Arguments:
        host: its name.
        status: its status in NetBox.
        mode: what it is booted for.
        disks: its disks in NetBox.
        os_disks: how many of them carry the system.
        observed: its disks as the machine shows them; None while nobody has looked.
        named: what the plan says that may be found on a disk, by its serial number.
    """
    stops = [*_status(host, status, mode), *_said(disks, mode)]
    if mode != "retire":
        stops += _system(disks, os_disks)
    grants = tuple(
        Grant(serial=disk.serial, name=disk.name, purpose=disk.purpose, action=action, why=why)
        for disk in disks
        for action, why in [RULES.get((disk.purpose, mode), (None, ""))]
        if action
    )
    if observed is not None:
        stops += _found(disks, grants, observed, named or {})
    return Verdict(host=host, mode=mode, grants=grants, stops=tuple(stops))


def _status(host: str, status: str, mode: Mode) -> Iterator[Stop]:
    if mode == "build" and status not in _NEW:
        yield Stop(
            disk="any",
            expected=f"{host} in status planned or staged, as before its first build has ended",
            found=status,
            remedy="rebuild it, which keeps its data disks",
        )


# -- what NetBox says -----------------------------------------------------------------------------


def _said(disks: Iterable[Disk], mode: Mode) -> Iterator[Stop]:
    """Each disk has a purpose, and a serial number of its own."""
    disks = tuple(disks)
    serials = Counter(disk.serial for disk in disks)
    if not disks:
        yield Stop(
            disk="any",
            expected="the disks of the host, by their serial numbers",
            found="none in NetBox",
            remedy="enter them in NetBox, as inventory items of role disk",
        )
    for disk in disks:
        if not disk.serial:
            yield Stop(
                disk=disk.name,
                expected="a serial number, by which alone a disk is known",
                found="none in NetBox",
                remedy="read it from the disk, and enter it in NetBox",
            )
        elif serials[disk.serial] > 1:
            alike = [other.name for other in disks if other.serial == disk.serial]
            yield Stop(
                disk=disk.name,
                expected=f"serial number {disk.serial} on one disk",
                found=f"on {', '.join(alike)}",
                remedy="read the numbers from the disks, and correct NetBox",
            )
        if disk.purpose not in PURPOSES:
            yield Stop(
                disk=f"{disk.name} ({disk.serial or 'no serial'})",
                expected=f"a purpose: one of {', '.join(PURPOSES)}",
                found=disk.purpose or "none in NetBox",
                remedy="set disk_purpose of the inventory item in NetBox",
            )
        elif (disk.purpose, mode) not in RULES:
            yield Stop(
                disk=f"{disk.name} ({disk.serial or 'no serial'})",
                expected="no disk to be kept in a host that is retired",
                found=f"purpose {disk.purpose}",
                remedy="take the disk out (and out of NetBox), or set another purpose in NetBox",
            )


def _system(disks: Iterable[Disk], wanted: int) -> Iterator[Stop]:
    names = [disk.name for disk in disks if disk.purpose == "os"]
    if len(names) != wanted:
        yield Stop(
            disk="of the system",
            expected=f"{wanted} disks with purpose os (inventory/storage.yml)",
            found=", ".join(names) or "none",
            remedy="correct the purposes in NetBox",
        )


# -- what the machine shows -----------------------------------------------------------------------


def _found(
    disks: Iterable[Disk],
    grants: Iterable[Grant],
    observed: Sequence[Observed],
    named: Mapping[str, Named],
) -> Iterator[Stop]:
    known = {disk.serial: disk for disk in disks if disk.serial}
    seen = Counter(disk.serial for disk in observed)
    for disk in observed:
        if not disk.serial.strip() or disk.serial not in known:
            yield Stop(
                disk=f"{disk.path} ({disk.serial.strip() or 'no serial'})",
                expected="no disk that NetBox does not know by its serial number",
                found=_shown(disk),
                remedy="enter the disk in NetBox with its purpose, or take it out",
            )
        elif seen[disk.serial] > 1:
            paths = [other.path for other in observed if other.serial == disk.serial]
            yield Stop(
                disk=f"{disk.path} ({disk.serial})",
                expected=f"serial number {disk.serial} on one disk",
                found=f"on {', '.join(paths)}",
                remedy="leave one way to the disk, or replace the one that lies",
            )
    by_serial = {disk.serial: disk for disk in observed if disk.serial in known}
    for grant in grants:
        if grant.serial not in by_serial:
            yield Stop(
                disk=f"{grant.name} ({grant.serial or 'no serial'})",
                expected="every disk of NetBox in the machine",
                found="not there",
                remedy="look whether it sits well, or enter the one that replaced it in NetBox",
            )
        elif grant.action != "keep":
            there = by_serial[grant.serial]
            yield from _size(known[grant.serial], there)
            yield from _content(grant, there, named.get(grant.serial, Named()))


def _size(disk: Disk, there: Observed) -> Iterator[Stop]:
    """A disk of another size is another disk, whatever number it gives."""
    wanted = (disk.size_gb or 0) * 10**9
    if abs(there.size_bytes - wanted) > wanted * _TOLERANCE:
        yield Stop(
            disk=f"{disk.name} ({disk.serial})",
            expected=f"{disk.size_gb} GB" if disk.size_gb else "its size in NetBox (disk_size_gb)",
            found=f"{there.size_bytes / 1e9:.1f} GB",
            remedy="correct the serial number or the size in NetBox",
        )


def _content(grant: Grant, disk: Observed, named: Named) -> Iterator[Stop]:
    """What is to go was named, and is in nobody's use; what is to be mounted is ours."""
    ours = bool(named.mark) and disk.mark.lower() == named.mark.lower()
    name = f"{grant.name} ({grant.serial})"
    if grant.action == "mount" and not ours:
        yield Stop(
            disk=name,
            expected=f"our data, of mark {named.mark or '(none in the plan)'}",
            found=_shown(disk),
            remedy="put back the disk that was there; set purpose keep for one that is new",
        )
    if grant.action not in DESTRUCTIVE:
        return
    if disk.mounted:
        yield Stop(
            disk=name,
            expected="a disk that is not in use",
            found=f"mounted on {', '.join(disk.mounted)}",
            remedy="boot the machine into the installer",
        )
    known = {*named.may_hold, *(OURS.get(grant.purpose, ()) if ours else ())}
    if not known.issuperset(disk.signatures):
        named_so = ", ".join(sorted(known)) or "nothing"
        yield Stop(
            disk=name,
            expected=f"nothing on it but what the plan names: {named_so}",
            found=_shown(disk),
            remedy="look at the disk; name what may go in the plan, or set purpose keep in NetBox",
        )


def _shown(disk: Observed) -> str:
    holds = ", ".join(disk.signatures) or "nothing on it"
    mark = f", mark {disk.mark}" if disk.mark else ""
    return f"{disk.model or 'a disk'} of {disk.size_bytes / 1e9:.0f} GB: {holds}{mark}"
