# mypy: ignore-errors
"""Runs in NetBox's own Python: a cable joins devices of one tenant, or is a hand-off.

The operator (whose switches and PDUs serve all) may be at one end. What has no tenant is nobody's
and is let through, and so are ends that are no device's: power feeds and circuits.
"""

from itertools import product

from dcim.models import PowerOutlet, PowerPort
from extras.validators import CustomValidator

from chapelle_netbox_validators.cables import so_before, to_judge
from chapelle_netbox_validators.common import option, refuse


class OneTenant(CustomValidator):
    """For dcim.cable: its two ends are of one tenant, or one is a hand-off of the operator's."""

    def validate(self, instance, _request):
        """Refuse a cable between two tenants."""
        if not to_judge(instance):
            return
        for a, b in product(instance.a_terminations, instance.b_terminations):
            if _tenant(a) in {None, _tenant(b)} or _tenant(b) is None or _hand_off(a, b):
                continue
            refuse(
                f"A cable between two tenants: found {_named(a)} and {_named(b)}, expected one "
                f"tenant at both ends{_or_hand_off()}. Look at the labels at both ends, or "
                "correct the tenant of the device.",
                existing=so_before(instance),
            )


def _device(end):
    return getattr(end, "device", None)


def _tenant(end):
    device = _device(end)
    return device and device.tenant_id


def _hand_off(a, b):
    """Whether one end is the operator's, in a place where others may be plugged in."""
    operators = [device for device in (_device(a), _device(b)) if _is_operator(device)]
    roles = option("handoff_roles")
    if roles is None or len(operators) == 2 or isinstance(a, PowerPort | PowerOutlet):
        return bool(operators)
    return any(device.role.slug in roles for device in operators)


def _is_operator(device):
    slugs = option("operators")
    if slugs is None:
        return device.tenant_id == device.site.tenant_id
    return device.tenant.slug in slugs


def _or_hand_off():
    roles = option("handoff_roles")
    if roles is None:
        return ", or a device of the operator at one"
    return f", or a device of role {' or '.join(roles)} of the operator at one" if roles else ""


def _named(end):
    return f"{end} of {end.device} ({end.device.tenant})"
