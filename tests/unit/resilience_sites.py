"""Random small datacentres with everything in them that matters when something is lost."""

from typing import Any

from hypothesis import strategies as st

from chapelle.model import records as r

ROLES = (
    "compute", "pdu", "panel", "leaf", "tenant-leaf", "spine", "border", "oob",
)  # fmt: skip
FEED, PORT, OUTLET = "dcim.powerfeed", "dcim.powerport", "dcim.poweroutlet"
INTERFACE, FRONT, REAR = "dcim.interface", "dcim.frontport", "dcim.rearport"

# Mostly the plain value, which is also what examples shrink to.
statuses = st.sampled_from(("active",) * 16 + ("planned", "failed", "offline", "inventory"))
feed_statuses = st.sampled_from(("active",) * 12 + ("planned", "failed", "offline"))
cable_statuses = st.sampled_from(("connected",) * 9 + ("planned",))
draws = st.sampled_from((None, 100, 300, 700))
rarely = st.sampled_from((False,) * 5 + (True,))
LISTS = {
    FEED: "power_feeds", PORT: "power_ports", OUTLET: "power_outlets", INTERFACE: "interfaces",
    FRONT: "front_ports", REAR: "rear_ports",
}  # fmt: skip


class Site:
    """Collects the records of a datacentre as plain fields; ids are unique over all lists."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.made: dict[str, dict[int, dict[str, Any]]] = {}
        self.last = 0
        self.roles = {role: self.add("device_roles", name=role, slug=role) for role in ROLES}
        self.type = self.add("device_types", manufacturer=1, model="M", slug="m")
        self.bundles: list[int] = []

    def add(self, kind: str, **fields: Any) -> int:
        """A new record."""
        self.last += 1
        self.made.setdefault(kind, {})[self.last] = {"id": self.last, **fields}
        return self.last

    def one(self, items: Any) -> Any:
        """One of these."""
        return self.draw(st.sampled_from(list(items)))

    def some(self, least: int, most: int) -> range:
        """So many times."""
        return range(self.draw(st.integers(least, most)))

    def free(self, object_type: str) -> list[int]:
        """The ports of a kind that have no cable."""
        made = self.made.get(LISTS[object_type], {})
        return [number for number, fields in made.items() if not fields.get("cable")]

    def cable(self, *ends: tuple[str, int]) -> int:
        """A cable from the first of these to the others."""
        sides = [r.Termination(object_type=kind, object_id=number) for kind, number in ends]
        bundle = self.one((None, None, *self.bundles))
        number = self.add(
            "cables", status=self.draw(cable_statuses), bundle=bundle,
            a_terminations=tuple(sides[:1]), b_terminations=tuple(sides[1:]),
        )  # fmt: skip
        for kind, port in ends:
            self.made[LISTS[kind]][port]["cable"] = number
        return number

    def device(self, role: str, name: str, **fields: Any) -> int:
        """A device somewhere."""
        rack = self.one(self.made["racks"].values())
        place = {name: rack[name] for name in ("site", "location")}
        return self.add(
            "devices", name=f"{name}-{self.last}", device_type=self.type, role=self.roles[role],
            status=self.draw(statuses), rack=rack["id"], **place, **fields,
        )  # fmt: skip

    def content(self) -> r.Content:
        """All of it as records."""
        types = {
            name: r.Content.__annotations__[name].__args__[0]
            for name in r.Content.__struct_fields__
        }
        return r.Content(
            **{
                name: tuple(types[name](**fields) for fields in records.values())
                for name, records in self.made.items()
            }
        )


@st.composite
def contents(draw: st.DrawFn) -> r.Content:
    """A datacentre of one or two sites, which may share devices' cables."""
    site = Site(draw)
    site.bundles = [site.add("cable_bundles", name=f"bundle-{i}") for i in site.some(0, 1)]
    for number in range(site.one((1, 1, 2))):
        _places(site, number)
    _feeds(site)
    for _ in site.some(1, 3):
        _pdu(site)
    for _ in site.some(1, 3):
        _machine(site, "compute", "server")
    for _ in site.some(0, 4):
        _machine(site, site.one(("leaf", "spine", "border", "oob", "tenant-leaf")), "switch")
    _links(site)
    return site.content()


def _places(site: Site, number: int) -> None:
    sources: dict[str, Any] = {}
    for index in site.some(0, 3):
        above = site.draw(st.lists(st.sampled_from(sorted(sources)), unique=True, max_size=2)
                          if sources else st.just([]))  # fmt: skip
        kva = site.one((None, 1, 5))
        sources[f"source-{index}"] = {"kind": "ups", "fed_by": above, "capacity_kva": kva}
    fields = {"power_sources": {"power_factor": site.one((0.95, 1.0)), "sources": sources}}
    place = site.add(
        "sites", name=f"Site {number}", slug=f"site-{number}", status="active",
        custom_fields=fields,
    )  # fmt: skip
    locations: list[int | None] = [None]
    for index in site.some(1, 2):
        locations.append(site.add(
            "locations", name=f"Place {index}", slug=f"place-{number}-{index}", site=place,
            status="active", parent=locations[-1],
        ))  # fmt: skip
    for index in site.some(1, 2):
        site.add(
            "racks", name=f"R{number}{index}", site=place, status="active",
            location=site.one(locations[::-1]),
        )  # fmt: skip
    for index in site.some(1, 2):
        site.add(
            "power_panels", name=f"panel-{number}-{index}", site=place,
            custom_fields={
                "ups": site.one((None, *sources)), "capacity_kva": site.one((None, 0.5, 3)),
            },
        )  # fmt: skip


def _feeds(site: Site) -> None:
    for index in site.some(1, 4):
        site.add(
            "power_feeds", name=f"feed-{index}", power_panel=site.one(site.made["power_panels"]),
            status=site.draw(feed_statuses), phase=site.one(("single-phase", "three-phase")),
            supply=site.one(("ac", "ac", "dc")), voltage=site.one((230, 400)),
            amperage=site.one((16, 2)), max_utilization=site.one((80, 100)),
        )  # fmt: skip


def _pdu(site: Site) -> None:
    names = [f"out-{index}" for index in site.some(1, 4)]
    banks = []
    if site.draw(rarely) or site.draw(rarely):
        first = site.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
        banks.append({"name": "B1", "amperage": site.one((1, 16)), "outlets": first})
        if rest := [name for name in names if name not in first]:
            banks.append({"name": "B2", "amperage": 1, "outlets": rest})
    fields: dict[str, Any] = {"outlet_banks": banks} if banks else {}
    if site.draw(rarely):
        fields["measured_draw"] = 50
    pdu = site.device("pdu", "pdu", custom_fields=fields)
    inlets = []
    for index in site.some(1, 2):
        inlet = site.add(
            "power_ports", device=pdu, name=f"in-{index}", maximum_draw=site.one((None, 500))
        )
        inlets.append(inlet)
        ends = [(FEED, number) for number in site.free(FEED)]
        ends += [(OUTLET, number) for number in site.free(OUTLET)]
        if ends:
            site.cable((PORT, inlet), site.one(ends))
    for name in names:
        site.add(
            "power_outlets", device=pdu, name=name, power_port=site.one((*inlets, None)),
            feed_leg=site.one((None, "A", "B")),
        )  # fmt: skip


def _machine(site: Site, role: str, name: str) -> None:
    measured = site.one((None, None, 150, 900))
    device = site.device(role, name, custom_fields={"measured_draw": measured})
    for index in site.some(0, 3):
        port = site.add(
            "power_ports", device=device, name=f"PSU{index}", allocated_draw=site.draw(draws),
            maximum_draw=site.draw(draws),
        )  # fmt: skip
        ends = [(OUTLET, number) for number in site.free(OUTLET)]
        ends += [(FEED, number) for number in site.free(FEED)]
        if ends:
            site.cable((PORT, port), site.one(ends))


def _links(site: Site) -> None:
    """Some interfaces, some cabled to one another, some through patch panels."""
    devices = list(site.made.get("devices", ()))
    if not devices:
        return
    for _ in site.some(0, 9):
        one, other = (_interface(site, site.one(devices)) for _ in range(2))
        site.cable((INTERFACE, one), (INTERFACE, other))
    for _ in site.some(0, 1):
        _patched(site, devices)
    for _ in site.some(0, 1):
        one, *others = (_interface(site, site.one(devices)) for _ in range(3))
        site.cable((INTERFACE, one), *((INTERFACE, other) for other in others))


def _interface(site: Site, device: int) -> int:
    return site.add(
        "interfaces", device=device, name=f"eth{site.last}", type="25gbase-x-sfp28",
        enabled=not site.draw(rarely), mgmt_only=site.one((False, False, True)),
    )  # fmt: skip


def _patched(site: Site, devices: list[int]) -> None:
    """Two patch panels with a trunk between them, patched to interfaces at either side."""
    positions = site.one((1, 2))
    trunk = []
    for _ in range(2):
        panel = site.device("panel", "panel")
        rear = site.add("rear_ports", device=panel, name="trunk", positions=positions)
        trunk.append((REAR, rear))
        order = site.draw(st.permutations(range(1, positions + 1)))
        for position in order:
            mapping = r.PortMapping(position=1, rear_port=rear, rear_port_position=position)
            front = site.add(
                "front_ports", device=panel, name=f"front-{position}", rear_ports=(mapping,)
            )
            if not site.draw(rarely):
                site.cable((FRONT, front), (INTERFACE, _interface(site, site.one(devices))))
    site.cable(*trunk)
