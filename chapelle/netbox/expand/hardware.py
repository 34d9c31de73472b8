"""Expand what things are: manufacturers, platforms, roles, device types and their templates."""

from typing import Any

from chapelle.netbox.design.schema import DeviceType
from chapelle.netbox.expand.context import Context
from chapelle.netbox.expand.desired import Ref
from chapelle.netbox.expand.places import named


def expand(context: Context) -> None:
    """Add the items of hardware.yml."""
    file = context.design.hardware
    named(context, "manufacturers", file.manufacturers, "hardware.yml: manufacturers")
    named(context, "platforms", file.platforms, "hardware.yml: platforms")
    named(context, "device_roles", file.device_roles, "hardware.yml: device_roles")
    named(context, "inventory_item_roles", [file.disk_role], "hardware.yml: disk_role")
    for i, spec in enumerate(file.device_types):
        _device_type(context, spec, f"hardware.yml: device_types[{i}]")


def _device_type(context: Context, spec: DeviceType, origin: str) -> None:
    fields = {
        "manufacturer": Ref("manufacturers", (spec.manufacturer,)),
        "model": spec.model,
        "slug": spec.slug,
        "part_number": spec.part_number,
        "u_height": spec.u_height,
        "is_full_depth": spec.is_full_depth,
        "weight": spec.weight_kg,
        "weight_unit": "kg" if spec.weight_kg else None,
        "airflow": spec.airflow,
    }
    ref = context.add("device_types", (spec.slug,), fields, origin)
    inlets = set()
    for i, interface in enumerate(spec.interfaces):
        values: dict[str, Any] = {
            "name": interface.name,
            "type": interface.type,
            "mgmt_only": interface.mgmt_only,
        }
        where = f"{origin}.interfaces[{i}]"
        _templates(context, "interface_templates", ref, values, where)
    for i, port in enumerate(spec.power_ports):
        where = f"{origin}.power_ports[{i}]"
        inlets |= set(context.names(port.name, where))
        values = {
            "name": port.name,
            "type": port.type,
            "maximum_draw": port.maximum_draw,
            "allocated_draw": port.allocated_draw,
        }
        _templates(context, "power_port_templates", ref, values, where)
        if (port.allocated_draw or 0) > (port.maximum_draw or 0):
            found = f"{port.allocated_draw} W"
            context.problem(where, "an allocated_draw up to maximum_draw", found)
    for i, outlet in enumerate(spec.power_outlets):
        where = f"{origin}.power_outlets[{i}]"
        if outlet.power_port not in inlets:
            expected = f"a power port of the same type: {', '.join(sorted(inlets)) or '(none)'}"
            context.problem(f"{where}.power_port", expected, repr(outlet.power_port))
        inlet = Ref("power_port_templates", (spec.slug, outlet.power_port))
        values = {"name": outlet.name, "type": outlet.type, "power_port": inlet}
        _templates(context, "power_outlet_templates", ref, values, where)


def _templates(
    context: Context, kind: str, device_type: Ref, values: dict[str, Any], origin: str
) -> None:
    for name in context.names(values["name"], origin):
        fields = {"device_type": device_type, **values, "name": name}
        context.add(kind, (*device_type.key, name), fields, origin)
