"""Expand servers.yml and the switches of network.yml: who stands where, with which components."""

from collections import defaultdict
from typing import Any

from chapelle.netbox.design.schema import ServerRole, Switch
from chapelle.netbox.expand.context import Context, Machine, RackPlace, serial
from chapelle.netbox.expand.desired import Ref
from chapelle.netbox.expand.places import location, tenant


def expand(context: Context) -> None:
    """Add servers and switches with their disks, and fill `context.servers` and `.switches`."""
    for aisle in context.aisles:
        _place_servers(context, aisle)
        _place_switches(context, aisle)
    _asns(context)
    for server in context.servers:
        _server(context, server)
    for switch in context.switches:
        _switch(context, switch)
    known = {server.name for server in context.servers}
    for name in context.design.servers.serials:
        if name not in known:
            context.problem(f"servers.yml: serials.{name}", "the name of a server", repr(name))


def _place_servers(context: Context, aisle: int) -> None:
    file = context.design.servers
    specs = {spec.role: spec for spec in file.roles}
    waiting: dict[str, list[tuple[RackPlace, DeviceSlot]]] = defaultdict(list)
    for i, entry in enumerate(file.racks):
        origin = f"servers.yml: racks[{i}]"
        rack = context.rack(aisle, entry.rack, f"{origin}.rack")
        unit, slot = file.first_unit, 0
        for role, count in entry.servers.items():
            spec = specs.get(role)
            if spec is None:
                context.problem(f"{origin}.servers", f"a role of roles: {', '.join(specs)}", role)
                continue
            height = _height(context, spec)
            for _ in range(count):
                slot += 1
                if rack:
                    waiting[role].append((rack, (unit, slot, origin)))
                unit += height
    index = 0
    for i, spec in enumerate(file.roles):
        device_type = context.device_type(spec.device_type, f"servers.yml: roles[{i}].device_type")
        for number, (rack, (unit, slot, origin)) in enumerate(waiting[spec.role], start=1):
            name = context.render(
                file.name, "servers.yml: name", role=spec.role, aisle=aisle, number=number
            )
            if device_type:
                machine = Machine(
                    name=name,
                    role=spec.role,
                    type=device_type,
                    aisle=aisle,
                    rack=rack,
                    unit=unit,
                    slot=slot,
                    index=index,
                    origin=origin,
                )
                context.occupy(machine)
                context.servers.append(machine)
            index += 1


type DeviceSlot = tuple[int, int, str]  # lowest unit, slot, origin


def _height(context: Context, spec: ServerRole) -> int:
    device_type = context.device_types.get(spec.device_type)
    return int(device_type.u_height + 0.5) if device_type else 1


def _place_switches(context: Context, aisle: int) -> None:
    slots: dict[str, int] = defaultdict(int)
    for index, spec in enumerate(context.design.network.switches):
        origin = f"network.yml: switches[{index}]"
        if not _stands_in(context, spec, aisle, index):
            continue
        rack = context.rack(aisle, spec.rack, f"{origin}.rack")
        device_type = context.device_type(spec.device_type, f"{origin}.device_type")
        if rack is None or device_type is None:
            continue
        slots[rack.name] += 1
        machine = Machine(
            name=context.render(spec.name, f"{origin}.name", aisle=aisle),
            role=spec.role,
            type=device_type,
            aisle=aisle,
            rack=rack,
            unit=spec.unit,
            slot=slots[rack.name],
            index=index,
            origin=origin,
        )
        context.occupy(machine)
        context.switches.append(machine)


def _stands_in(context: Context, spec: Switch, aisle: int, index: int) -> bool:
    if spec.aisles is None:
        return True
    wanted = context.numbers(spec.aisles, "network.yml", f"switches[{index}].aisles")
    return aisle in wanted


def _asns(context: Context) -> None:
    spec = context.design.network.asns
    rir = Ref("rirs", (spec.rir.slug,))
    fields = {
        "name": spec.rir.name,
        "slug": spec.rir.slug,
        "is_private": True,
        "description": spec.rir.description,
    }
    context.add("rirs", rir.key, fields, "network.yml: asns.rir")
    shared = {entry.role: entry.asn for entry in spec.shared}
    uses: dict[int, list[str]] = defaultdict(list)
    for switch in context.switches:
        asn = shared.get(switch.role)
        if switch.role in spec.roles:
            asn = spec.first + spec.aisle_step * (switch.aisle - 1) + switch.index
            if asn in uses:
                found = f"{switch.name} would share {asn} with {uses[asn][0]}"
                context.problem("network.yml: asns", "an AS number of its own each", found)
        if asn is not None:
            context.asns[switch.name] = asn
            uses[asn].append(switch.name)
    for asn, names in uses.items():
        if not 0 < asn < 2**32:
            context.problem("network.yml: asns", "AS numbers below 4294967296", str(asn))
        described = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        values = {"asn": asn, "rir": rir, "description": described}
        context.add("asns", (str(asn),), values, "network.yml: asns")


def device(
    context: Context, name: str, fields: dict[str, Any], origin: str, rack: RackPlace
) -> Ref:
    """Add a device in a rack."""
    explicit = context.design.servers.serials.get(name)
    values = {
        "name": name,
        "site": context.site,
        "location": location(context, rack.aisle),
        "rack": rack.ref,
        "serial": explicit or serial(name),
        **fields,
    }
    # Who replaces a machine or a disk writes its serial number into NetBox; runs write the status.
    initial = ("status",) if explicit else ("status", "serial")
    return context.add("devices", (name,), values, origin, initial=initial, lane=rack.aisle)


def _server(context: Context, server: Machine) -> None:
    file = context.design.servers
    fields = {
        "device_type": Ref("device_types", (server.type.slug,)),
        "role": Ref("device_roles", (server.role,)),
        "platform": Ref("platforms", (file.platform,)),
        "tenant": tenant(file.tenant),
        "position": server.unit,
        "face": "front",
        "status": file.status,
    }
    ref = device(context, server.name, fields, server.origin, server.rack)
    _disks(context, server, ref)


def _disks(context: Context, server: Machine, ref: Ref) -> None:
    place = context.design.hardware.device_types.index(server.type)
    for i, disk in enumerate(server.type.disks):
        origin = f"hardware.yml: device_types[{place}].disks[{i}]"
        for name in context.names(disk.name, f"{origin}.name"):
            fields = {
                "device": ref,
                "name": name,
                "role": Ref("inventory_item_roles", (context.design.hardware.disk_role.slug,)),
                "manufacturer": Ref("manufacturers", (disk.manufacturer,)),
                "part_id": disk.part_id,
                "serial": serial(f"{server.name} {name}"),
                "custom_fields": {"disk_purpose": disk.purpose, "disk_size_gb": disk.size_gb},
            }
            context.add(
                "inventory_items",
                (server.name, name),
                fields,
                origin,
                initial=("serial", "custom_fields.disk_purpose"),
                lane=server.aisle,
            )


def _switch(context: Context, switch: Machine) -> None:
    file = context.design.network
    asn = context.asns.get(switch.name)
    fields = {
        "device_type": Ref("device_types", (switch.type.slug,)),
        "role": Ref("device_roles", (switch.role,)),
        "platform": Ref("platforms", (file.platform,)),
        "tenant": tenant(file.tenant),
        "position": switch.unit,
        "face": "rear",
        "status": file.status,
        "custom_fields": {"bgp_asn": asn} if asn else None,
    }
    device(context, switch.name, fields, switch.origin, switch.rack)
