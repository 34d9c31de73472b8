"""The cables that LLDP sees against the cables that NetBox has: missing, swapped, wrong, unknown.

NetBox is right or the rack is: only a person who looks can tell. A finding therefore names both
ways to end the difference, the plug to move and the correction in NetBox.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from chapelle.checks.fabric import is_named
from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.references import Names
from chapelle.model.switch import Facts
from chapelle.model.tenancy import EDGE

# Devices of these statuses are meant to run, and so to be heard.
_HEARD = frozenset({"active", "staged"})


class End(NamedTuple):
    """A port: its device's name and its own."""

    device: str
    port: str

    def __str__(self) -> str:
        return f"{self.device} {self.port}"


def cabling(dc: Datacentre, seen: Mapping[str, Facts]) -> list[Finding]:
    """How the cables differ from NetBox's, as far as these switches can see.

    Arguments:
        dc: the datacentre.
        seen: what each switch says, by its name.

    Returns:
        Errors first, in order of rule and object; each cable and each link is in one at most.
    """
    view = _View(dc, seen)
    found = [*view.swapped(), *view.wrong(), *view.unknown(), *view.missing()]
    return sorted(found, key=lambda finding: (finding.severity, finding.rule, finding.objects))


class _View:
    def __init__(self, dc: Datacentre, seen: Mapping[str, Facts]) -> None:
        self.dc = dc
        self.names = Names(dc.content)
        self.looked_at = set(seen)
        self.plan: dict[End, End] = {}
        self.cable_at: dict[End, r.Cable] = {}
        self.port_at: dict[End, r.Interface] = {}
        self._read_plan()
        self.found: dict[End, End] = {}
        for name, facts in seen.items():
            for neighbour in facts.neighbours:
                far = End(self._name(neighbour.system), neighbour.port)
                self.found[End(name, neighbour.interface)] = far
        for near, far in list(self.found.items()):
            self.found.setdefault(far, near)  # a cable has two ends, even if one is not asked
        self._links: set[frozenset[End]] = set()  # those that findings have named
        self._cables: set[int] = set()

    def _read_plan(self) -> None:
        for interface in self.dc.content.interfaces:
            end = self._end(interface)
            self.port_at[end] = interface
            peer = self.dc.peer_interface(interface)
            cable = self.dc.cables.get(interface.cable or 0)
            if peer and cable:
                self.plan[end] = self._end(peer)
                self.cable_at[end] = cable

    def _end(self, interface: r.Interface) -> End:
        device = self.dc.devices.get(interface.device)
        return End((device.name if device else "") or f"device {interface.device}", interface.name)

    def _name(self, system: str) -> str:
        """The name in NetBox of what calls itself so; its own word when NetBox has no such."""
        if system in self.dc.devices_by_name:
            return system
        host = system.partition(".")[0]
        known = host in self.dc.devices_by_name and is_named(system, host)
        return host if known else system

    # -- findings ---------------------------------------------------------------------------------

    def swapped(self) -> Iterator[Finding]:
        """Two cables of which each is plugged in where the other belongs."""
        for near, far in sorted(self.found.items(), key=self._asked_first):
            other = self.plan.get(far)  # where NetBox says that the far end leads
            if near not in self.plan or other is None or self.plan[near] == far:
                continue
            if self.found.get(other) != self.plan[near]:
                continue
            pair = [self.cable_at[near], self.cable_at[other]]
            if not self._is_news(near, far, *pair):
                continue
            self._links.add(frozenset((other, self.plan[near])))
            yield Finding(
                rule="cable-swapped",
                severity="error",
                objects=tuple(self._cable(cable) for cable in sorted(pair, key=lambda c: c.id)),
                expected=f"{near} to {self.plan[near]}, and {other} to {far}",
                found=f"{near} to {far}, and {other} to {self.plan[near]}",
                remedy=f"exchange the plugs in {near} and {other}; or, if the rack is right, in "
                f"NetBox exchange the far ends: cable {pair[0].id} ends at {far}, "
                f"cable {pair[1].id} at {self.plan[near]}",
            )

    def wrong(self) -> Iterator[Finding]:
        """A cable that leads somewhere else than NetBox says."""
        for near, far in sorted(self.found.items()):
            if near.device not in self.looked_at or self.plan.get(near) in (None, far):
                continue
            cable = self.cable_at[near]
            if self._is_a_tenant_s(self.plan[near], far) or not self._is_news(near, far, cable):
                continue
            yield Finding(
                rule="cable-wrong",
                severity="error",
                objects=(self._cable(cable), self._device(near)),
                expected=f"{near} to {self.plan[near]}",
                found=f"{near} to {far}",
                remedy=f"move the plug; or, if the rack is right, let cable {cable.id} in NetBox "
                f"end at {far}",
            )

    def unknown(self) -> Iterator[Finding]:
        """A neighbour on a port that NetBox has no cable for."""
        for near, far in sorted(self.found.items()):
            if near.device not in self.looked_at or near in self.plan or far in self.plan:
                continue
            if not self._is_news(near, far):
                continue
            yield Finding(
                rule="cable-unknown",
                severity="warning",
                objects=(self._device(near),),
                expected=f"nothing in {near}",
                found=f"{near} to {far}",
                remedy=f"unplug it, or enter a cable from {near} to {far} in NetBox",
            )

    def missing(self) -> Iterator[Finding]:
        """A cable whose far end ought to be heard, and is not."""
        for near, far in sorted(self.plan.items()):
            if near.device not in self.looked_at or near in self.found or not self._heard(far):
                continue
            cable = self.cable_at[near]
            if not self._is_news(near, far, cable):
                continue
            yield Finding(
                rule="cable-missing",
                severity="warning",
                objects=(self._cable(cable), self._device(near)),
                expected=f"{near} to {far}",
                found=f"no neighbour in {near}",
                remedy=f"see whether {far.device} runs, then plug the cable as NetBox says; if "
                f"there is none, delete cable {cable.id} in NetBox",
            )

    # -- helpers ----------------------------------------------------------------------------------

    def _asked_first(self, link: tuple[End, End]) -> tuple[bool, End]:
        return link[0].device not in self.looked_at, link[0]

    def _is_news(self, near: End, far: End, *cables: r.Cable) -> bool:
        """Whether no finding has named this link or one of these cables; from now on one has."""
        link = frozenset((near, far))
        known = link in self._links or any(cable.id in self._cables for cable in cables)
        self._links.add(link)
        self._cables |= {cable.id for cable in cables}
        return not known

    def _is_a_tenant_s(self, planned: End, far: End) -> bool:
        """Whether a tenant's own equipment is meant, which calls itself as it likes."""
        device = self.dc.devices_by_name.get(planned.device)
        theirs = device is not None and self.dc.role_of(device) == EDGE
        return theirs and far.device not in self.dc.devices_by_name

    def _heard(self, far: End) -> bool:
        """Whether what runs there speaks LLDP: switches and servers in service, no controllers."""
        device = self.dc.devices_by_name.get(far.device)
        if device is None or device.status not in _HEARD:
            return False
        if self.dc.role_of(device) in SWITCH_ROLES:
            return True
        return self.dc.is_server(device) and not self.port_at[far].mgmt_only

    def _cable(self, cable: r.Cable) -> ObjectRef:
        return self.names.ref("cables", cable.id)

    def _device(self, end: End) -> ObjectRef:
        return self.dc.ref(self.dc.devices_by_name[end.device])
