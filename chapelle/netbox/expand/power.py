"""Expand power.yml: panels, feeds, PDUs, and the cords of every machine."""

from typing import Any

from chapelle.model.resilience import BANKS, CAPACITY, UPS
from chapelle.netbox.design.schema import Panel
from chapelle.netbox.expand.context import Context, Machine, RackPlace
from chapelle.netbox.expand.desired import Ref
from chapelle.netbox.expand.machines import device
from chapelle.netbox.expand.places import location, tenant
from chapelle.netbox.expand.wiring import cable


def expand(context: Context) -> None:
    """Add the items of power.yml, the PDUs and all power cables."""
    _require_sources(context)
    for i, panel in enumerate(context.design.power.panels):
        origin = f"power.yml: panels[{i}]"
        for aisle in context.aisles:
            ref = _panel(context, panel, aisle, origin)
            for rack in context.racks.values():
                if rack.aisle == aisle:
                    _feed_and_pdu(context, panel, ref, rack, origin)
    for machine in [*context.servers, *context.switches]:
        _power_ports(context, machine)
    _cords(context)


def _require_sources(context: Context) -> None:
    """Every source that something hangs on is declared, as soon as one is."""
    power = context.design.power
    known = {source.name for source in power.sources}
    named = [(f"panels[{i}].ups", panel.ups) for i, panel in enumerate(power.panels) if known]
    for i, source in enumerate(power.sources):
        named += [(f"sources[{i}].fed_by", above) for above in source.fed_by]
    for path, name in named:
        if name not in known:
            expected = f"the name of a source: {', '.join(sorted(known))}"
            context.problem(f"power.yml: {path}", expected, repr(name))


def _panel(context: Context, panel: Panel, aisle: int, origin: str) -> Ref:
    name = context.render(panel.name, f"{origin}.name", aisle=aisle)
    fields = {
        "name": name,
        "site": context.site,
        "location": location(context, aisle),
        "custom_fields": {UPS: panel.ups, CAPACITY: panel.capacity_kva},
    }
    return context.add("power_panels", (name,), fields, origin, lane=aisle)


def _feed_and_pdu(
    context: Context, panel: Panel, panel_ref: Ref, rack: RackPlace, origin: str
) -> None:
    file = context.design.power
    feed = context.render(
        file.feeds.name,
        "power.yml: feeds.name",
        aisle=rack.aisle,
        rack=rack.number,
        SIDE=panel.side.upper(),
    )
    fields = {
        "name": feed,
        "power_panel": panel_ref,
        "rack": rack.ref,
        "type": panel.feed_type,
        "supply": file.feeds.supply,
        "phase": file.feeds.phase,
        "voltage": file.feeds.voltage,
        "amperage": file.feeds.amperage,
        "max_utilization": file.feeds.max_utilization,
        "tenant": tenant(rack.spec.tenant),
        "status": "active",
    }
    key = (panel_ref.key[0], feed)
    initial = ("status", "tenant")
    feed_ref = context.add("power_feeds", key, fields, origin, initial=initial, lane=rack.aisle)
    if pdu := _pdu(context, panel.side, rack):
        inlet = Ref("power_ports", (pdu.key[0], file.pdus.inlet))
        cable(context, "power", (inlet, feed_ref), "power.yml: pdus", rack.aisle)


def pdu_name(context: Context, side: str, rack: RackPlace) -> str:
    """The name of the PDU of a side in a rack."""
    pattern = context.design.power.pdus.name
    return context.render(
        pattern, "power.yml: pdus.name", aisle=rack.aisle, rack=rack.number, side=side
    )


def _pdu(context: Context, side: str, rack: RackPlace) -> Ref | None:
    spec = context.design.power.pdus
    origin = "power.yml: pdus"
    device_type = context.device_type(spec.device_type, f"{origin}.device_type")
    if device_type is None:
        return None
    name = pdu_name(context, side, rack)
    fields: dict[str, Any] = {
        "device_type": Ref("device_types", (device_type.slug,)),
        "role": Ref("device_roles", (spec.role,)),
        "tenant": tenant(context.design.site.site.tenant),
        "status": spec.status,
    }
    if spec.banks:
        fields["custom_fields"] = {BANKS: _banks(context)}
    ref = device(context, name, fields, origin, rack)
    pdu_ports = {n for t in device_type.power_ports for n in context.names(t.name, origin)}
    if spec.inlet not in pdu_ports:
        expected = f"a power port of device type {device_type.slug}: {', '.join(sorted(pdu_ports))}"
        context.problem(f"{origin}.inlet", expected, repr(spec.inlet))
    for port in device_type.power_ports:
        for port_name in context.names(port.name, origin):
            values = {"device": ref, "name": port_name, "type": port.type}
            context.add("power_ports", (name, port_name), values, origin, lane=rack.aisle)
    for outlet in device_type.power_outlets:
        for outlet_name in context.names(outlet.name, origin):
            values = {
                "device": ref,
                "name": outlet_name,
                "type": outlet.type,
                "power_port": Ref("power_ports", (name, outlet.power_port)),
            }
            context.add("power_outlets", (name, outlet_name), values, origin, lane=rack.aisle)
    return ref


def _banks(context: Context) -> list[dict[str, Any]]:
    return [
        {
            "name": bank.name,
            "amperage": bank.amperage,
            "outlets": context.names(bank.outlets, f"power.yml: pdus.banks[{i}].outlets"),
        }
        for i, bank in enumerate(context.design.power.pdus.banks)
    ]


def _power_ports(context: Context, machine: Machine) -> None:
    for template in machine.type.power_ports:
        for name in context.names(template.name, machine.origin):
            fields = {
                "device": machine.ref,
                "name": name,
                "type": template.type,
                "maximum_draw": template.maximum_draw,
                "allocated_draw": template.allocated_draw,
            }
            key = (machine.name, name)
            context.add("power_ports", key, fields, machine.origin, lane=machine.aisle)


def _cords(context: Context) -> None:
    file = context.design.power
    sides = {panel.side for panel in file.panels}
    for port, side in file.cords.items():
        if side not in sides:
            expected = f"the side of a panel: {', '.join(sorted(sides))}"
            context.problem(f"power.yml: cords.{port}", expected, repr(side))
    for machines, first in (
        (context.servers, file.outlets.servers_from),
        (context.switches, file.outlets.switches_from),
    ):
        for machine in machines:
            number = first + machine.slot - 1
            outlet = context.render(file.outlets.name, "power.yml: outlets.name", outlet=number)
            for port in context.components(machine, "power_ports"):
                cord = file.cords.get(port)
                if cord is None:
                    expected = f"a side for every power port of {machine.type.slug}"
                    context.problem("power.yml: cords", expected, f"none for {port}")
                    continue
                source = Ref("power_outlets", (pdu_name(context, cord, machine.rack), outlet))
                sink = Ref("power_ports", (machine.name, port))
                cable(context, "power", (sink, source), "power.yml: outlets", machine.aisle)
