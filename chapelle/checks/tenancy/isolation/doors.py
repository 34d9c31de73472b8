"""What hangs on the ports of switches, by NetBox's cables, and which VLANs and VRFs it is in."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from chapelle.checks.tenancy.isolation.carried import Carriers
from chapelle.checks.tenancy.isolation.graph import Graph, Node, Thing, Why
from chapelle.checks.tenancy.isolation.intended import Seen
from chapelle.checks.tenancy.isolation.parties import Parties
from chapelle.checks.tenancy.isolation.stated import INTERFACE, host
from chapelle.model import records as r
from chapelle.model.isolation import RUNNING, Door


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """One port of a door, and what NetBox says of it; `port` is None where it has no such one."""

    seen: Seen
    door: Door
    name: str
    port: r.Interface | None


class Doors:
    """The doors of all switches."""

    def __init__(self, carriers: Carriers) -> None:
        self._carriers = carriers
        self._graph: Graph = carriers.graph
        self._parties: Parties = carriers.parties
        self.openings = tuple(_openings(self._parties, carriers.seen))
        self._by_port = {one.port.id: one for one in self.openings if one.port}

    def add(self) -> None:
        """Add what hangs on every door."""
        for one in self.openings:
            reached = list(self.far(one))
            for far, via in reached:
                self._behind(one, far, via)
            if not reached:
                self._unknown(one)

    def far(self, one: Opening) -> Iterator[tuple[r.Interface, tuple[Thing, ...]]]:
        """The ports that a port reaches, each with what lies between the two, theirs first."""
        if one.port is None:
            return
        for far in self._parties.dc.paths.far(INTERFACE, one.port.cable, one.port.id):
            port = self._parties.dc.interfaces.get(far.end.object_id)
            if (
                port
                and far.end.object_type == INTERFACE
                and port.device in self._parties.dc.devices
            ):
                cables = tuple(("cables", cable) for cable in reversed(far.cables))
                yield port, (("interfaces", port.id), *cables, ("interfaces", one.port.id))

    def _behind(self, one: Opening, far: r.Interface, via: tuple[Thing, ...]) -> None:
        device = self._parties.dc.devices[far.device]
        if self._parties.is_switch(device) and not far.mgmt_only:
            if other := self._by_port.get(far.id):
                self._between(one, other, via)
            return
        node = host(device, management=far.mgmt_only)
        for vid, inside in self._inside(one):
            self._graph.join(node, inside, self._why(one, far, vid, via))

    def _inside(self, one: Opening) -> Iterator[tuple[int | None, Node]]:
        """All that a door leads to: VLANs by number, or a VRF."""
        if one.door.table is not None:
            yield None, self._carriers.table(one.seen, one.door.table)
            return
        known = {lan.vid for lan in one.seen.reading.lans}
        for vid in sorted({*one.door.tagged, one.door.untagged or 0} & known):
            yield vid, self._carriers.lan(one.seen, vid)

    def _why(self, one: Opening, far: r.Interface, vid: int | None, via: tuple[Thing, ...]) -> Why:
        role = self._parties.dc.role_of(one.seen.device)
        rule = "vrf-on-foreign-port" if vid is None else "vlan-on-foreign-port"
        where = f"{one.seen.device.name} {one.name}"
        what = f"VRF {one.door.table}" if vid is None else f"VLAN {vid}"
        cause: Node = ("said", far.device, far.mgmt_only, vid or one.door.table)
        remedy = f"take {what} off {where}"
        if one.seen.reading.source != RUNNING:
            cause, told = self._speaker(one, far, vid)
            remedy = f"take {what} off {told} in NetBox, or correct what is cabled to {where}"
        return Why(
            rule="out-of-band" if far.mgmt_only or role == "oob" else rule,
            cause=cause,
            remedy=remedy,
            via=via,
        )

    def _speaker(self, one: Opening, far: r.Interface, vid: int | None) -> tuple[Node, str]:
        """What in NetBox says that a port carries a VLAN; see `chapelle.fabric.attachments`.

        The port itself or its group, or else the far one, or else the far one's address.
        """
        dc = self._parties.dc
        for port in (one.port, far):
            if port is None:
                continue
            group = dc.interfaces.get(port.lag or 0) or port
            if vid is None or group.untagged_vlan is not None or group.tagged_vlans:
                device = dc.devices[group.device]
                return ("interfaces", group.id, vid), f"{device.name} {group.name}"
        for address in dc.addresses_by_interface.get(far.id, ()):
            return ("ip_addresses", address.id), f"address {address.address}"
        return ("interfaces", far.id, vid), far.name

    def _between(self, one: Opening, other: Opening, via: tuple[Thing, ...]) -> None:
        """What one switch sends over a cable is, at the other, in the VLAN of its tag."""
        ends = [end.port for end in (one, other) if end.port]
        ids = sorted(end.lag or end.id for end in ends)
        names = " and ".join(f"{end.seen.device.name} {end.name}" for end in (one, other))
        why = Why(
            rule="vlan-between-switches",
            cause=("interfaces", *ids),
            remedy=f"let {names} carry the same VLANs, with the same one untagged",
            via=via[::-1],
        )
        arrives = {vid or 0: node for vid, node in self._inside(other)}
        for vid, node in self._inside(one):
            tag = vid if vid != one.door.untagged else other.door.untagged
            if (tag or 0) in arrives:
                self._graph.lead(node, arrives[tag or 0], why)

    def _unknown(self, one: Opening) -> None:
        """A door that leads NetBox does not know where: whoever is there is a party of its own."""
        where = f"{one.seen.device.name} {one.name}"
        party = self._parties.unknown(f"whatever is plugged into {where}")
        things = (("interfaces", one.port.id),) if one.port else ()
        node: Node = ("plug", one.seen.device.id, one.name)
        self._graph.add(node, party, *things, ("devices", one.seen.device.id))
        for vid, inside in self._inside(one):
            what = f"VRF {one.door.table}" if vid is None else f"VLAN {vid}"
            why = Why(
                rule="vlan-on-foreign-port" if vid else "vrf-on-foreign-port",
                cause=("said", one.seen.device.id, one.name, vid or one.door.table),
                remedy=f"take {what} off {where}, or enter in NetBox what is cabled to it",
            )
            self._graph.join(node, inside, why)


def _openings(parties: Parties, seen: Sequence[Seen]) -> Iterator[Opening]:
    ports: Mapping[int, dict[str, r.Interface]] = {
        one.device.id: {
            port.name: port for port in parties.dc.interfaces_by_device.get(one.device.id, ())
        }
        for one in seen
    }
    for one in seen:
        for door in one.reading.doors:
            for name in door.ports:
                port = ports[one.device.id].get(name)
                yield Opening(seen=one, door=door, name=name, port=port)
