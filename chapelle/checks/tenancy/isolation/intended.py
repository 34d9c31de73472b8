"""What a switch is intended to do, as far as it decides who reaches whom."""

from collections.abc import Iterable, Mapping

import msgspec

from chapelle.errors import InputError
from chapelle.fabric import attachments, intent, platforms
from chapelle.fabric.switch import Attachment, Switch
from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.model.isolation import Door, Lan, Reading, Table
from chapelle.model.status import OUT_OF_SERVICE

# The field of a VRF that holds its VNI.
L3VNI = "l3vni"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A switch, what it does, and which of NetBox's VLANs and VRFs its own are.

    What is missing in `vlans` (by number) or `vrfs` (by their name on the switch) is none of them.
    """

    device: r.Device
    reading: Reading
    vlans: Mapping[int, r.VLAN]
    vrfs: Mapping[str, r.VRF]


class Unplanned(msgspec.Struct, frozen=True, kw_only=True):
    """A switch that NetBox says not enough of; `vlans` has those with one number, by it."""

    device: r.Device
    error: InputError
    vlans: Mapping[int, tuple[r.VLAN, ...]] = {}


def switches(dc: Datacentre) -> list[r.Device]:
    """The switches that are there or shall be, by name."""
    found = [
        device
        for device in dc.content.devices
        if dc.role_of(device) in SWITCH_ROLES and device.status not in OUT_OF_SERVICE
    ]
    return sorted(found, key=lambda device: device.name or "")


def see(dc: Datacentre, device: r.Device) -> Seen | Unplanned:
    """What a switch is intended to do, or why that cannot be said."""
    try:
        intended = intent.intent(dc, device)
    except InputError as error:
        return Unplanned(device=device, error=error, vlans=_doubles(dc, device))
    vlans = carried(dc, device, intended.platform)
    vrfs = vrfs_by_name(dc, intended.platform)
    found = reading(intended)
    # Of two VRFs with one name the first is meant here; that the other is one with it is found too.
    tables = [table for table in found.tables if table.vni == vrfs[table.name].custom_fields[L3VNI]]
    return Seen(
        device=device,
        reading=msgspec.structs.replace(found, tables=tuple(tables)),
        vlans={vlan.vid: vlan for vlan in vlans},
        vrfs=vrfs,
    )


def reading(intended: Switch) -> Reading:
    """The same in the words that running switches are described in."""
    return Reading(
        switch=intended.name,
        doors=(
            *map(_door, intended.attachments),
            *(Door(ports=(one.name,), table=one.vrf) for one in intended.handoffs),
        ),
        lans=tuple(
            Lan(
                vid=vlan.vid,
                vni=vlan.overlay.vni if vlan.overlay else None,
                imports=vlan.overlay.import_targets if vlan.overlay else (),
                exports=vlan.overlay.export_targets if vlan.overlay else (),
                tables=(vlan.vrf,) if vlan.vrf else (),
            )
            for vlan in intended.vlans
        ),
        tables=tuple(
            Table(
                name=vrf.name,
                vni=vrf.overlay.vni,
                imports=vrf.overlay.import_targets,
                exports=vrf.overlay.export_targets,
            )
            for vrf in intended.vrfs
        ),
    )


def _door(one: Attachment) -> Door:
    return Door(ports=one.ports, untagged=one.untagged, tagged=frozenset(one.tagged))


def carried(dc: Datacentre, device: r.Device, slug: str) -> list[r.VLAN]:
    """The VLANs of NetBox that a switch's ports carry."""
    kind = platforms.platform(slug, where=f"device {device.name} in NetBox")
    ids = attachments.ports(dc, device, kind).vlans
    return [dc.vlans[number] for number in sorted(ids) if number in dc.vlans]


def vrfs_by_name(dc: Datacentre, slug: str) -> dict[str, r.VRF]:
    """NetBox's VRFs by what they are called on a platform."""
    kind = platforms.PLATFORMS[slug]
    return {kind.vrf(vrf.name): vrf for vrf in reversed(dc.content.vrfs)}


def _doubles(dc: Datacentre, device: r.Device) -> dict[int, tuple[r.VLAN, ...]]:
    """The VLANs of a switch of which several have one number."""
    slug = dc.platforms[device.platform].slug if device.platform in dc.platforms else ""
    try:
        vlans = carried(dc, device, slug)
    except InputError:
        return {}
    return {
        vid: found
        for vid in sorted({vlan.vid for vlan in vlans})
        if len(found := _numbered(vlans, vid)) > 1
    }


def _numbered(vlans: Iterable[r.VLAN], vid: int) -> tuple[r.VLAN, ...]:
    return tuple(vlan for vlan in vlans if vlan.vid == vid)
