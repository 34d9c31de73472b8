"""Expand the cables: servers to switches, management ports, and the meshes of the fabric."""

from chapelle.netbox.design.schema import Mesh
from chapelle.netbox.expand.context import Context, Machine
from chapelle.netbox.expand.desired import Ref


def expand(context: Context) -> None:
    """Add all network cables."""
    _attachments(context)
    _management(context)
    for i, mesh in enumerate(context.design.network.meshes):
        _mesh(context, mesh, f"network.yml: meshes[{i}]")


def cable(context: Context, sort: str, ends: tuple[Ref, Ref], origin: str, aisle: int) -> None:
    """Add a cable of a sort of `network.yml: cables` between two ports; `aisle` 0 is between."""
    spec = getattr(context.design.network.cables, sort)
    a, b = ends
    low, high = sorted(ends, key=lambda ref: (ref.kind, ref.key))
    fields = {
        "a_terminations": [a],
        "b_terminations": [b],
        "type": spec.type,
        "color": spec.color,
        "label": f"{' '.join(a.key)} - {' '.join(b.key)}"[:100],
        "status": "connected",
    }
    key = (low.kind, *low.key, high.kind, *high.key)
    context.add("cables", key, fields, origin, initial=("status",), lane=aisle)


def _port(context: Context, switch: str, number: int) -> Ref:
    name = context.render(context.design.network.port, "network.yml: port", port=number)
    return Ref("interfaces", (switch, name))


def _attachments(context: Context) -> None:
    by_rack = {}
    for i, entry in enumerate(context.design.network.attachments):
        origin = f"network.yml: attachments[{i}]"
        if entry.rack in by_rack:
            context.problem(f"{origin}.rack", "each rack once", f"rack {entry.rack} again")
        by_rack[entry.rack] = (entry, origin)
    for server in context.servers:
        if server.rack.number not in by_rack:
            expected = f"an attachment for rack {server.rack.number}, where servers stand"
            context.problem("network.yml: attachments", expected, "none")
            continue
        entry, origin = by_rack[server.rack.number]
        for interface, pattern in entry.ports.items():
            switch = context.render(pattern, f"{origin}.ports.{interface}", aisle=server.aisle)
            own = Ref("interfaces", (server.name, interface))
            sort = "management" if interface == context.design.servers.bmc.interface else "server"
            port = _port(context, switch, entry.first_port + server.slot - 1)
            cable(context, sort, (own, port), f"{origin}.ports.{interface}", server.aisle)


def _management(context: Context) -> None:
    for switch in context.switches:
        spec = context.design.network.switches[switch.index].management
        origin = f"{switch.origin}.management"
        if (spec.switch is None) is not (spec.port is None):
            context.problem(origin, "both switch and port, or neither", "one of them")
        if spec.switch is None or spec.port is None:
            continue
        target = context.render(spec.switch, f"{origin}.switch", aisle=switch.aisle)
        own = Ref("interfaces", (switch.name, spec.interface))
        port = _port(context, target, spec.port)
        cable(context, "management", (own, port), origin, switch.aisle)


def _mesh(context: Context, mesh: Mesh, origin: str) -> None:
    uppers = [switch for switch in context.switches if switch.role in mesh.upper]
    for aisle in context.aisles:
        lowers = [s for s in context.switches if s.role in mesh.lower and s.aisle == aisle]
        for place, lower in enumerate(lowers):
            upper_port = mesh.upper_port + mesh.aisle_step * (aisle - 1) + place
            for number, upper in enumerate(uppers):
                _link(context, lower, upper, (mesh.lower_port + number, upper_port), origin)


def _link(
    context: Context, lower: Machine, upper: Machine, ports: tuple[int, int], origin: str
) -> None:
    a, b = _port(context, lower.name, ports[0]), _port(context, upper.name, ports[1])
    cable(context, "fabric", (a, b), origin, lower.aisle if lower.aisle == upper.aisle else 0)
