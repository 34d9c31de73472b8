"""Rules about what the switches need: numbers that nobody else has, and targets that fit."""

from collections.abc import Iterable, Iterator

from chapelle.checks.rules.scene import Fault, Rule, Scene, grouped
from chapelle.model import records as r
from chapelle.model.datacentre import ROUTING_ROLES, VTEP_ROLES
from chapelle.model.finding import ObjectRef
from chapelle.model.status import OUT_OF_SERVICE

# The field of a VRF that holds its VNI, and of a switch that holds its AS number.
L3VNI = "l3vni"
ASN = "bgp_asn"


def _vnis(scene: Scene) -> list[tuple[int, str, r.L2VPN | r.VRF]]:
    """Every VNI with the list and the object that has it."""
    found: list[tuple[int, str, r.L2VPN | r.VRF]] = [
        (l2vpn.identifier, "l2vpns", l2vpn)
        for l2vpn in scene.content.l2vpns
        if l2vpn.type == "vxlan-evpn" and l2vpn.identifier is not None
    ]
    found += [
        (vrf.custom_fields[L3VNI], "vrfs", vrf)
        for vrf in scene.content.vrfs
        if isinstance(vrf.custom_fields.get(L3VNI), int)
    ]
    return found


def duplicate_vnis(scene: Scene) -> Iterator[Fault]:
    """A VNI is one network's: what arrives with it is taken for that network's, whoever sent it."""
    for vni, uses in grouped(_vnis(scene), lambda use: use[0]).items():
        if len(uses) > 1:
            yield Fault(
                objects=tuple(scene.ref(list_name, record) for _, list_name, record in uses),
                expected=f"VNI {vni} in one L2VPN or VRF",
                found=f"in {len(uses)}: {', '.join(record.name for _, _, record in uses)}",
                remedy="give all but one another identifier (L2VPN) or l3vni (VRF) in NetBox",
            )


def duplicate_asns(scene: Scene) -> Iterator[Fault]:
    """A leaf refuses routes with its own AS number in their path, so no two leafs share one."""
    vteps = (d for d in scene.placed if scene.dc.role_of(d) in VTEP_ROLES)
    for asn, devices in grouped(vteps, lambda device: device.custom_fields.get(ASN)).items():
        if len(devices) > 1:
            yield Fault(
                objects=tuple(scene.ref("devices", device) for device in devices),
                expected=f"AS number {asn} on one leaf or border leaf",
                found=f"on {len(devices)}",
                remedy="give all but one another AS number in NetBox",
            )


def routing_identity(scene: Scene) -> Iterator[Fault]:
    """A switch that routes has an AS number and one loopback address."""
    for device in scene.placed:
        if scene.dc.role_of(device) not in ROUTING_ROLES:
            continue
        loopbacks = scene.dc.loopbacks_by_device.get(device.id, ())
        asn = device.custom_fields.get(ASN)
        if isinstance(asn, int) and len(loopbacks) == 1 and loopbacks[0].endswith("/32"):
            continue
        yield Fault(
            objects=(scene.ref("devices", device),),
            expected=f"custom field {ASN}, and one address of role loopback and length 32",
            found=f"{asn or 'no AS number'}; {', '.join(loopbacks) or 'no loopback address'}",
            remedy="enter them in NetBox",
        )


def lone_leafs(scene: Scene) -> Iterator[Fault]:
    """A leaf has a partner that its servers hang on too, and a border leaf another one."""
    for device in scene.placed:
        role = scene.dc.role_of(device)
        if role not in VTEP_ROLES:
            continue
        partners = [p for p in scene.dc.partners(device) if p.status not in OUT_OF_SERVICE]
        strangers = [] if role == "border" else sorted(_strangers(scene, device, partners))
        if partners and not strangers:
            continue
        expected = (
            "another border leaf"
            if role == "border"
            else "a leaf of the same name but for its last letter, a or b, on which all that hangs "
            "on this one hangs too"
        )
        yield Fault(
            objects=(scene.ref("devices", device),),
            expected=expected,
            found=f"also reached: {', '.join(strangers)}" if strangers else "none",
            remedy="enter the partner, or correct the cables of its servers, in NetBox",
        )


def _strangers(scene: Scene, device: r.Device, partners: Iterable[r.Device]) -> set[str]:
    """Other switches that a server on this one reaches besides it, and that are no partners."""
    known = {partner.name for partner in partners} | {device.name}
    found: set[str] = set()
    for interface in scene.dc.interfaces_by_device.get(device.id, ()):
        peer = scene.dc.peer_interface(interface)
        server = scene.dc.devices.get(peer.device) if peer and not peer.mgmt_only else None
        if server and scene.dc.is_server(server):
            found |= set(scene.dc.leaf_pair(server)) - known
    return found


def foreign_targets(scene: Scene) -> Iterator[Fault]:
    """No tenant imports what another exports: route targets are what keeps tenants apart."""
    things: list[tuple[str, r.VRF | r.L2VPN]] = [
        *(("vrfs", vrf) for vrf in scene.content.vrfs),
        *(("l2vpns", l2vpn) for l2vpn in scene.content.l2vpns),
    ]
    exporters: dict[int, list[tuple[str, r.VRF | r.L2VPN]]] = {}
    for list_name, thing in things:
        for target in thing.export_targets:
            exporters.setdefault(target, []).append((list_name, thing))
    for list_name, thing in things:
        for target in thing.import_targets:
            others = [
                (other_list, other)
                for other_list, other in exporters.get(target, ())
                if other.tenant != thing.tenant
            ]
            if others:
                yield Fault(
                    objects=(
                        scene.ref(list_name, thing),
                        *(scene.ref(other_list, other) for other_list, other in others),
                    ),
                    expected="an import target that only the same tenant exports",
                    found=f"{scene.names.name('route_targets', target)}, exported by "
                    f"{', '.join(other.name for _, other in others)}",
                    remedy="correct the route targets in NetBox",
                )


def without_l2vpn(scene: Scene) -> Iterator[Fault]:
    """A VLAN that a leaf carries is carried on by exactly one L2VPN."""
    carried: dict[int, list[ObjectRef]] = {}
    for interface in scene.content.interfaces:
        peer = scene.dc.peer_interface(interface)
        switch = scene.dc.devices.get(peer.device) if peer else None
        if switch is None or scene.dc.role_of(switch) not in VTEP_ROLES or interface.mgmt_only:
            continue
        group = scene.dc.interfaces.get(interface.lag or 0) or interface
        for vlan in (*group.tagged_vlans, group.untagged_vlan):
            if vlan is not None:
                carried.setdefault(vlan, []).append(scene.device_ref(switch.id))
    for vlan, switches in sorted(carried.items()):
        l2vpns = scene.dc.l2vpns_by_vlan.get(vlan, ())
        record = scene.dc.vlans.get(vlan)
        if len(l2vpns) == 1 and l2vpns[0].identifier is not None:
            continue
        if record:
            yield Fault(
                objects=(scene.ref("vlans", record), *dict.fromkeys(switches)),
                expected="one L2VPN of type vxlan-evpn with an identifier",
                found=", ".join(l2vpn.name for l2vpn in l2vpns) or "none",
                remedy="enter the L2VPN, its identifier and its termination in NetBox",
            )


RULES: dict[str, tuple[str, Rule]] = {
    "duplicate-vni": ("error", duplicate_vnis),
    "duplicate-asn": ("error", duplicate_asns),
    "routing-identity": ("error", routing_identity),
    "lone-leaf": ("error", lone_leafs),
    "foreign-target": ("error", foreign_targets),
    "no-l2vpn": ("error", without_l2vpn),
}
