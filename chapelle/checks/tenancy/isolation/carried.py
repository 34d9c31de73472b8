"""What switches join: a VLAN or VRF on one with the same on others, and with each other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from chapelle.checks.tenancy.isolation.graph import Graph, Node, Thing, Why
from chapelle.checks.tenancy.isolation.intended import L3VNI, Seen
from chapelle.checks.tenancy.isolation.parties import MANAGEMENT, Parties
from chapelle.checks.tenancy.isolation.stated import GLOBAL_TABLE, host
from chapelle.fabric.platforms import PLATFORMS
from chapelle.model import records as r
from chapelle.model.datacentre import ROUTING_ROLES
from chapelle.model.isolation import GLOBAL, RUNNING, Lan, Leak, Table

# Why parts of one party are joined that can be no one else's.
_WITHIN = Why(rule="", cause=())


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A VLAN or VRF with certain targets, on whichever switches; `name` where NetBox has none."""

    party: str | None
    thing: Thing | None
    name: str
    vni: int | None
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    tag: int


class Carriers:
    """Adds what switches do to a graph.

    Arguments:
        graph: where to; it has what NetBox says already.
        parties: who is who.
        seen: the switches.
    """

    def __init__(self, graph: Graph, parties: Parties, seen: Sequence[Seen]) -> None:
        self.graph = graph
        self.parties = parties
        self.seen = seen
        self._kinds: dict[_Kind, int] = {}
        self._vnis = _vnis(parties)

    def add(self) -> None:
        """Add all VLANs and VRFs, and what joins them."""
        for vni in self._vnis:
            self._vni(vni)
        for one in self.seen:
            for table in one.reading.tables:
                node = self.table(one, table.name)
                self._overlay(node, one.vrfs.get(table.name), table, f"VRF {table.name}")
            for lan in one.reading.lans:
                node = self.lan(one, lan.vid)
                self._overlay(node, one.vlans.get(lan.vid), lan, f"VLAN {lan.vid}")
        for one in self.seen:
            self._own_management(one)
            for table in one.reading.tables:
                for leak in table.leaks:
                    self._leak(one, table, leak)
            for lan in one.reading.lans:
                for name in lan.tables:
                    self._gateway(one, lan, name)
        self._targets()

    # -- parts ------------------------------------------------------------------------------------

    def lan(self, one: Seen, vid: int) -> Node:
        """The part that is a VLAN on a switch."""
        node: Node = ("lan", one.device.id, vid)
        if node not in self.graph.parties:
            vlan = one.vlans.get(vid)
            party = self.parties.of_vlan(vlan) if vlan else self.parties.unknown(f"VLAN {vid}")
            things = (("vlans", vlan.id),) if vlan else ()
            self.graph.add(node, party, *things, ("devices", one.device.id))
            if vlan:
                self.graph.join(node, ("vlan", vlan.id), _same("vlans", vlan))
        return node

    def table(self, one: Seen, name: str) -> Node:
        """The part that is a VRF on a switch.

        The table that is in no VRF is the fabric's on a switch that routes; on one that only
        bridges it is that by which the switch is managed.
        """
        if name == GLOBAL:
            routes = self.parties.dc.role_of(one.device) in ROUTING_ROLES
            return GLOBAL_TABLE if routes else host(one.device, management=True)
        node: Node = ("table", one.device.id, name)
        if node not in self.graph.parties:
            vrf = one.vrfs.get(name)
            things = (("vrfs", vrf.id),) if vrf else ()
            party = self._party_of_table(one, name, vrf)
            self.graph.add(node, party, *things, ("devices", one.device.id))
            if vrf:
                self.graph.join(node, ("vrf", vrf.id), _same("vrfs", vrf))
        return node

    def _party_of_table(self, one: Seen, name: str, vrf: r.VRF | None) -> str | None:
        if vrf:
            return self.parties.of_vrf(vrf)
        platform = self.parties.dc.platforms.get(one.device.platform or 0)
        kind = PLATFORMS.get(platform.slug) if platform else None
        if kind and name in kind.reserved_vrfs:
            return MANAGEMENT
        return self.parties.unknown(f"VRF {name}")

    # -- between switches -------------------------------------------------------------------------

    def _overlay(
        self, node: Node, record: r.VLAN | r.VRF | None, one: Lan | Table, name: str
    ) -> None:
        if one.vni is not None:
            self.graph.join(node, self._vni(one.vni), _vni_why(one.vni))
        if one.imports or one.exports:
            kind = _Kind(
                party=self.graph.parties[node],
                thing=self._of_targets(record),
                name="" if record else name,
                vni=one.vni,
                imports=one.imports,
                exports=one.exports,
                tag=one.tag if isinstance(one, Lan) else 0,
            )
            number = self._kinds.setdefault(kind, len(self._kinds))
            self.graph.lead(node, _of_kind(self.graph, kind, number, "import"), _WITHIN)
            self.graph.lead(_of_kind(self.graph, kind, number, "export"), node, _WITHIN)

    def _of_targets(self, record: r.VLAN | r.VRF | None) -> Thing | None:
        """What has the route targets in NetBox: the VRF itself, but of a VLAN the L2VPN."""
        if isinstance(record, r.VLAN):
            l2vpns = self.parties.dc.l2vpns_by_vlan.get(record.id)
            return ("l2vpns", l2vpns[0].id) if l2vpns else ("vlans", record.id)
        return ("vrfs", record.id) if record else None

    def _vni(self, vni: int) -> Node:
        node: Node = ("vni", vni)
        if node not in self.graph.parties:
            owners = self._vnis.get(vni, {})
            parties = set(owners.values()) or {self.parties.unknown(f"VNI {vni}")}
            party = next(iter(parties)) if len(parties) == 1 else None
            self.graph.add(node, party, *owners)
            for list_name, number in owners:
                self.graph.join(node, (list_name.removesuffix("s"), number), _vni_why(vni))
        return node

    def _targets(self) -> None:
        """What imports a target reaches whatever exports it (RFC 4364, 4.3; RFC 7432, 7.10)."""
        exporters: dict[str, list[tuple[str, _Kind]]] = defaultdict(list)
        for kind in self._kinds:
            for target in kind.exports:
                exporters[target].append((target, kind))
                exporters[_any(target)].append((target, kind))
        for kind, number in self._kinds.items():
            for target in kind.imports:
                for exported, other in exporters.get(target, ()):
                    if kind.tag == other.tag or 0 in (kind.tag, other.tag):
                        why = self._target_why(kind, other, exported)
                        tells: Node = ("export", self._kinds[other])
                        self.graph.lead(("import", number), tells, why)

    def _target_why(self, kind: _Kind, other: _Kind, target: str) -> Why:
        """Who is wrong: who exports what is another's, or else who imports it."""
        if kind.party is not None and kind.party == other.party:
            return _WITHIN
        for each in (kind, other):  # the targets of a VNI that is another's are that other's
            owner = self.graph.parties.get(("vni", each.vni))
            if each.vni is not None and owner is not None and owner != each.party:
                return _vni_why(each.vni)
        own = kind.party is not None and kind.party == self._party_of_target(target, kind)
        wrong, verb = (other, "export") if own else (kind, "import")
        what = self.parties.names.name(*wrong.thing) if wrong.thing else wrong.name
        return Why(
            rule="foreign-target",
            cause=(*(wrong.thing or ("", wrong.name)), verb, target),
            remedy=f"take route target {target} out of what {what} {verb}s",
        )

    def _party_of_target(self, target: str, kind: _Kind) -> str | None:
        for record in self.parties.dc.content.route_targets:
            if record.name == target and record.tenant is not None:
                party = self.parties.tenant(record.tenant)
                mine = kind.party == MANAGEMENT and not self.parties.is_rented(party)
                return MANAGEMENT if mine and target in kind.exports else party
        return kind.party if target in kind.exports else None

    # -- within a switch --------------------------------------------------------------------------

    def _own_management(self, one: Seen) -> None:
        """A switch that is managed through a VLAN of its own is in that VLAN."""
        dc, vids = self.parties.dc, {lan.vid for lan in one.reading.lans}
        for interface in dc.interfaces_by_device.get(one.device.id, ()):
            if not interface.mgmt_only or interface.cable:
                continue
            for address in dc.addresses_by_interface.get(interface.id, ()):
                vlan = self.parties.vlan_of_address(address)
                if vlan and vlan.vid in vids:
                    why = Why(
                        rule="out-of-band",
                        cause=("ip_addresses", address.id),
                        remedy=f"give {one.device.name} an address from a prefix of management",
                        via=(("interfaces", interface.id),),
                    )
                    own = host(one.device, management=True)
                    self.graph.join(own, self.lan(one, vlan.vid), why)

    def _gateway(self, one: Seen, lan: Lan, name: str) -> None:
        vlan, node = one.vlans.get(lan.vid), self.table(one, name)
        cause: Node = ("said", "gateway", lan.vid, name)
        remedy = f"take the gateway of VLAN {lan.vid} out of VRF {name} on {one.device.name}"
        if one.reading.source != RUNNING and vlan:
            for prefix in self.parties.dc.prefixes_by_vlan.get(vlan.id, ()):
                cause = ("prefixes", prefix.id)
                remedy = f"correct the VRF or the VLAN of prefix {prefix.prefix} in NetBox"
        rule = "global-table" if node == GLOBAL_TABLE else "foreign-vlan-vrf"
        rule = "out-of-band" if node[0] == "host" else rule
        self.graph.join(self.lan(one, lan.vid), node, Why(rule=rule, cause=cause, remedy=remedy))

    def _leak(self, one: Seen, table: Table, leak: Leak) -> None:
        cause: Node = ("said", one.device.id, table.name, leak.words)
        if leak.vid is not None:  # a gateway in the wrong VRF takes its routes there too
            own, into = self.lan(one, leak.vid), self.table(one, leak.into)
            wrong = self.graph.parties[own] != self.graph.parties[into]
            cause = ("said", "gateway", leak.vid, leak.into) if wrong else cause
        why = Why(
            rule="default-route" if leak.default else "route-leak",
            cause=cause,
            remedy=f"take this out of VRF {table.name} on {one.device.name}: {leak.words}",
            said=leak.words,
        )
        self.graph.lead(self.table(one, table.name), self.table(one, leak.into), why)


def _same(list_name: str, record: r.VLAN | r.VRF) -> Why:
    """Why a VLAN or VRF on a switch is one with NetBox's."""
    remedy = f"enter the tenant of {record.name} in NetBox"
    return Why(rule="shared-object", cause=(list_name, record.id), remedy=remedy)


def _vni_why(vni: int) -> Why:
    return Why(
        rule="shared-vni",
        cause=("vni", vni),
        remedy=f"let one VLAN or VRF only have VNI {vni}, and give the others another",
    )


def _vnis(parties: Parties) -> Mapping[int, dict[Thing, str | None]]:
    """Who has each VNI, by NetBox: things and their parties."""
    found: dict[int, dict[Thing, str | None]] = defaultdict(dict)
    for l2vpn in parties.dc.content.l2vpns:
        if l2vpn.identifier is not None and l2vpn.type == "vxlan-evpn":
            found[l2vpn.identifier]["l2vpns", l2vpn.id] = parties.of_l2vpn(l2vpn)
    for vrf in parties.dc.content.vrfs:
        vni = vrf.custom_fields.get(L3VNI)
        if isinstance(vni, int):
            found[vni]["vrfs", vrf.id] = parties.of_vrf(vrf)
    return found


def _of_kind(graph: Graph, kind: _Kind, number: int, verb: str) -> Node:
    node: Node = (verb, number)
    if node not in graph.parties:
        graph.add(node, kind.party)
    return node


def _any(target: str) -> str:
    """How a target is imported whatever its first part is."""
    kind = "vpn " if target.startswith("vpn ") else ""
    return f"{kind}*:{target.rpartition(':')[2]}"
