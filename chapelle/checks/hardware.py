"""The identity gate: is a server the machine that NetBox means?

Whoever looked, its BMC or the installer on it, is judged alike: serial number, model, the addresses
of its ports, its disks by serial number and size. What is empty on either side proves nothing, and
is an error like what differs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.hardware import Disk, Hardware, Model
from chapelle.model.records import VIRTUAL_TYPES

SERIAL = "hardware-serial"
MODEL = "hardware-model"
PORT = "hardware-port"
DISK = "hardware-disk"
SETTING = "hardware-setting"

NOTHING = "nothing"
GIGABYTE = 10**9
# A disk of "480 GB" holds 480,103,981,056 bytes (IDEMA LBA1-03); some makers round, others count in
# powers of two. Sizes of different products are further apart than this share.
SIZE_TOLERANCE = 0.02

_LOOK = "look which machine it is and what is plugged in; mend NetBox, or the machine"


def judge(
    dc: Datacentre, device: r.Device, hardware: Hardware, model: Model
) -> tuple[Finding, ...]:
    """What of a server is not as NetBox says; empty when it is the machine that is meant.

    Arguments:
        dc: the datacentre.
        device: the server in it.
        hardware: what it is made of, as somebody saw it.
        model: what is known of its model.
    """
    judged = [
        *_serial(device, hardware),
        *_model(dc, device, hardware, model),
        *_ports(dc, device, hardware, model),
        *_disks(dc, device, hardware, model),
    ]
    return tuple(
        Finding(
            rule=rule,
            severity="error",
            objects=(dc.ref(device),),
            expected=expected,
            found=found,
            remedy=_LOOK,
        )
        for rule, expected, found in judged
    )


def judge_settings(
    dc: Datacentre, device: r.Device, found: dict[str, str | bool | int | None], model: Model
) -> tuple[Finding, ...]:
    """Which settings of a server's firmware are not as its model wants them."""
    return tuple(
        Finding(
            rule=SETTING,
            severity="error",
            objects=(dc.ref(device),),
            expected=f"{name} {wanted}",
            found=NOTHING if found.get(name) is None else f"{name} {found[name]}",
            remedy=f"invoke bmc.settings --limit={device.name} --apply",
        )
        for name, wanted in model.wanted.items()
        if found.get(name) != wanted
    )


_Judged = Iterator[tuple[str, str, str]]


def _serial(device: r.Device, hardware: Hardware) -> _Judged:
    wanted = device.serial.strip()
    if not wanted:
        yield SERIAL, "a serial number in NetBox", f"{NOTHING} there; {_said(hardware.serial)} here"
    elif hardware.serial != wanted:
        yield SERIAL, f"serial number {wanted}", _said(hardware.serial)


def _model(dc: Datacentre, device: r.Device, hardware: Hardware, model: Model) -> _Judged:
    kind = dc.device_types.get(device.device_type)
    maker = dc.manufacturers.get(kind.manufacturer) if kind else None
    for field, named, found in (
        ("manufacturer", maker.name if maker else "", hardware.manufacturer),
        ("model", kind.model if kind else "", hardware.model),
    ):
        wanted = model.says.get(field, named)
        lies = hardware.source == "bmc" and field in model.unreliable
        if not lies and (found != wanted or not wanted):
            yield MODEL, f"{field} {_said(wanted)}", _said(found)


def _ports(dc: Datacentre, device: r.Device, hardware: Hardware, model: Model) -> _Judged:
    """The ports for data: those for management are the BMC's own, and not seen from everywhere."""
    named = {port.name: port.mac.upper() for port in hardware.ports}
    by_mac = {mac: name for name, mac in named.items() if mac}
    numbers = hardware.source == "bmc" and "port-name" in model.unreliable
    wanted = {}
    for port in dc.interfaces_by_device.get(device.id, ()):
        if port.mgmt_only or port.type in VIRTUAL_TYPES:
            continue
        mac = (port.mac_address or "").upper()
        wanted[mac] = port.name
        if not mac:
            yield PORT, f"a MAC address of {port.name} in NetBox", NOTHING
        elif mac not in by_mac:
            yield PORT, f"{port.name} with {mac}", f"{port.name} with {_said(named.get(port.name))}"
        elif by_mac[mac] != port.name and not numbers:
            yield PORT, f"{mac} at {port.name}", f"{mac} at {by_mac[mac]}"
    if repeated := [mac for mac, n in Counter(p.mac for p in hardware.ports).items() if n > 1]:
        yield PORT, "each MAC address once", f"{repeated[0] or NOTHING} several times"
    if not wanted:
        yield PORT, "ports for data in NetBox", NOTHING


def _disks(dc: Datacentre, device: r.Device, hardware: Hardware, model: Model) -> _Judged:
    wanted: dict[str, r.InventoryItem] = {}
    for item in dc.inventory_by_device.get(device.id, ()):
        role = dc.inventory_item_roles.get(item.role or 0)
        if role is None or role.slug != "disk":
            continue
        serial = item.serial.strip()
        if not serial:
            yield DISK, f"a serial number of {item.name} in NetBox", NOTHING
        elif serial in wanted:
            yield DISK, "each disk once in NetBox", f"{serial} as {wanted[serial].name} too"
        else:
            wanted[serial] = item
    if not wanted:
        yield DISK, "disks with serial numbers in NetBox", NOTHING
    yield from _seen_disks(hardware.disks, wanted)
    seen = {disk.serial: disk for disk in hardware.disks}
    lies = hardware.source == "bmc" and "disk-size" in model.unreliable
    for serial, item in wanted.items():
        if serial not in seen:
            yield DISK, f"{item.name} with serial number {serial}", NOTHING
            continue
        size = item.custom_fields.get("disk_size_gb")
        if not lies and size is not None and not _is_about(seen[serial].size, int(size)):
            found = f"{seen[serial].size / GIGABYTE:.0f} GB" if seen[serial].size else NOTHING
            yield DISK, f"{item.name} ({serial}) of {size} GB", found


def _seen_disks(disks: Iterable[Disk], wanted: dict[str, r.InventoryItem]) -> _Judged:
    seen = set()
    for disk in disks:
        if not disk.serial:
            yield DISK, f"a serial number of the disk in {disk.name or 'some bay'}", NOTHING
        elif disk.serial in seen:
            yield DISK, f"the disk {disk.serial} once", "several times"
        elif disk.serial not in wanted:
            where = f" in {disk.name}" if disk.name else ""
            yield DISK, "no disk that NetBox does not know", f"{disk.serial}{where}"
        seen.add(disk.serial)


def _is_about(size: int, gigabytes: int) -> bool:
    return abs(size - gigabytes * GIGABYTE) <= SIZE_TOLERANCE * gigabytes * GIGABYTE


def _said(text: str | None) -> str:
    return text or NOTHING
