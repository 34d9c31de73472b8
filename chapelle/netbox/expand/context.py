"""What the parts of the expansion share: the design, the items so far, and the problems."""

import hashlib
import ipaddress
from collections.abc import Iterator
from typing import Any

import msgspec

from chapelle.netbox.design.patterns import PatternError, names, numbers, render
from chapelle.netbox.design.problems import Problem
from chapelle.netbox.design.schema import Design, DeviceType, Prefix, Racks
from chapelle.netbox.expand.desired import Desired, Item, Key, Ref


class RackPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One rack: its names, and the part of the design that it comes from."""

    name: str
    aisle: int
    number: int
    spec: Racks
    origin: str

    @property
    def ref(self) -> Ref:
        """The rack's item."""
        return Ref("racks", (self.name,))


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A server or a switch in its rack.

    `unit` is its lowest unit, `slot` counts the machines of its sort in the rack from 1 (servers
    from the bottom up, switches in the order of the design), `index` counts them in the aisle from
    0 in the order of addresses, `number` is the server's own within its role and aisle.
    """

    name: str
    role: str
    type: DeviceType
    aisle: int
    rack: RackPlace
    unit: int
    slot: int
    index: int
    origin: str

    @property
    def ref(self) -> Ref:
        """The machine's item."""
        return Ref("devices", (self.name,))


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """One prefix: its addresses, VRF and VLAN."""

    spec: Prefix
    network: ipaddress.IPv4Network
    vlan: Ref | None
    vid: int | None
    origin: str


class Context:
    """The state of one expansion. Parts add items and note problems; nothing is raised."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.desired = Desired()
        self.problems: list[Problem] = []
        self.site = Ref("sites", (design.site.site.slug,))
        self.aisles: list[int] = self.numbers(
            design.site.aisles.numbers, "site.yml", "aisles.numbers"
        )
        self.device_types = {spec.slug: spec for spec in design.hardware.device_types}
        self.racks: dict[tuple[int, int], RackPlace] = {}
        self.servers: list[Machine] = []
        self.switches: list[Machine] = []
        self.networks: dict[tuple[str, int], Network] = {}
        self.asns: dict[str, int] = {}
        self._used_units: dict[tuple[str, int], Machine] = {}

    # -- items and problems -----------------------------------------------------------------------

    def add(
        self,
        kind: str,
        key: Key,
        fields: dict[str, Any],
        origin: str,
        *,
        initial: tuple[str, ...] = (),
        lane: int = 0,
    ) -> Ref:
        """Add an item; two of one key are a problem. Fields of None or "" are left to NetBox."""
        present = {name: value for name, value in fields.items() if value not in (None, "")}
        item = Item(
            kind=kind,
            key=key,
            fields=present,
            origin=origin,
            initial=frozenset(initial),
            lane=lane,
        )
        known = self.desired.items.setdefault(kind, {})
        if key in known:
            what = kind.replace("_", " ")
            found = f"two: {item.name!r} comes from {known[key].origin} too"
            self.problem(origin, f"one of each name among the {what}", found)
        known.setdefault(key, item)
        return item.ref

    def problem(self, origin: str, expected: str, found: str) -> None:
        """Note a problem at `origin`, which reads `<file>: <path>`."""
        file, _, path = origin.partition(": ")
        problem = Problem(file, path, expected, found)
        if problem not in self.problems:
            self.problems.append(problem)

    # -- notations --------------------------------------------------------------------------------

    def numbers(self, text: int | str, file: str, path: str) -> list[int]:
        """Numbers of a range; a bad one is a problem and gives none."""
        try:
            return numbers(text)
        except PatternError as error:
            self._pattern_problem(f"{file}: {path}", error)
            return []

    def names(self, text: str, origin: str) -> list[str]:
        """Names of a range; a bad one is a problem and gives none."""
        try:
            return names(text)
        except PatternError as error:
            self._pattern_problem(origin, error)
            return []

    def render(self, pattern: str, origin: str, **values: int | str) -> str:
        """A pattern filled in; a bad one is a problem and gives the pattern itself."""
        try:
            return render(pattern, **values)
        except PatternError as error:
            self._pattern_problem(origin, error)
            return pattern

    def _pattern_problem(self, origin: str, error: PatternError) -> None:
        expected, _, found = str(error).removeprefix("expected ").partition(", found ")
        self.problem(origin, expected, found)

    # -- look-ups ---------------------------------------------------------------------------------

    def device_type(self, slug: str, origin: str) -> DeviceType | None:
        """The device type of that slug; none is a problem."""
        found = self.device_types.get(slug)
        if found is None:
            listed = ", ".join(self.device_types) or "(there are none)"
            self.problem(origin, f"a device type of hardware.yml: {listed}", repr(slug))
        return found

    def rack(self, aisle: int, number: int, origin: str) -> RackPlace | None:
        """The rack of that number in the aisle; none is a problem."""
        found = self.racks.get((aisle, number))
        if found is None:
            self.problem(origin, f"a rack that racks.yml gives aisle {aisle}", f"rack {number}")
        return found

    def network(self, key: str, aisle: int, origin: str) -> Network | None:
        """The prefix of that key in the aisle, or the site-wide one; none is a problem."""
        found = self.networks.get((key, aisle)) or self.networks.get((key, 0))
        if found is None:
            listed = ", ".join(dict.fromkeys(name for name, _ in self.networks))
            self.problem(origin, f"the key of a prefix of addressing.yml: {listed}", repr(key))
        return found

    def host(self, network: Network, number: int, origin: str) -> str | None:
        """The address of that host number with its prefix length; outside is a problem."""
        size = network.network.num_addresses
        if not 0 < number < size - 1:
            self.problem(
                origin,
                f"a host number inside {network.network}, 1 to {size - 2}",
                f"{number}, an address outside its prefix",
            )
            return None
        return f"{network.network[number]}/{network.network.prefixlen}"

    def occupy(self, machine: Machine) -> None:
        """Take the machine's units in its rack; outside, or units that are taken, are problems."""
        top = machine.unit + int(machine.type.u_height + 0.5) - 1
        if top > machine.rack.spec.u_height:
            self.problem(
                machine.origin,
                f"units 1 to {machine.rack.spec.u_height} of rack {machine.rack.name}",
                f"{machine.name} in units {machine.unit} to {top}",
            )
        for unit in range(machine.unit, top + 1):
            other = self._used_units.setdefault((machine.rack.name, unit), machine)
            if other is not machine:
                self.problem(
                    machine.origin,
                    f"unit {unit} of rack {machine.rack.name} to be free for {machine.name}",
                    f"{other.name} stands there ({other.origin})",
                )

    def components(self, machine: Machine, kind: str) -> Iterator[str]:
        """The names of a machine's interfaces or power ports, from its type."""
        for template in getattr(machine.type, kind):
            yield from names(template.name)


def serial(name: str) -> str:
    """A serial number made from a name, always the same one."""
    return "CHP" + hashlib.sha256(f"serial {name}".encode()).hexdigest()[:12].upper()


def mac(device: str, interface: str) -> str:
    """A locally administered unicast MAC address made from names, always the same one."""
    digest = hashlib.sha256(f"mac {device} {interface}".encode()).hexdigest()
    return ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))]).upper()
