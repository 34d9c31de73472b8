# mypy: ignore-errors
"""Runs in NetBox's own Python: an address is there once in its routing table."""

from extras.validators import CustomValidator
from ipam.constants import IPADDRESS_ROLES_NONUNIQUE
from ipam.models import IPAddress
from netaddr import AddrFormatError, IPNetwork

from chapelle_netbox_validators.common import refuse, unchanged


class UniqueAddress(CustomValidator):
    """For ipam.ipaddress: each host address once in a VRF, whatever the prefix lengths.

    NetBox has such a check, which the VRF's `enforce_unique` and ENFORCE_GLOBAL_UNIQUE switch off;
    this one always holds, and names who has the address.
    """

    def validate(self, instance, _request):
        """Refuse an address that another object has, unless both have a role that is shared."""
        try:
            bare = str(IPNetwork(str(instance.address)).ip)
        except (AddrFormatError, ValueError):
            return  # NetBox refuses it by itself
        others = IPAddress.objects.filter(vrf=instance.vrf_id, address__net_host=bare)
        if instance.pk:
            others = others.exclude(pk=instance.pk)
        if instance.role in IPADDRESS_ROLES_NONUNIQUE:
            others = others.exclude(role__in=IPADDRESS_ROLES_NONUNIQUE)
        other = others.first()
        if other is None:
            return
        table = f"VRF {instance.vrf}" if instance.vrf_id else "the global table"
        refuse(
            f"{bare} is in {table} already: {other}{_owner(other)} (address {other.pk}). Expected "
            "each address once, or a role that is shared at both "
            f"({', '.join(IPADDRESS_ROLES_NONUNIQUE)}). Give another address.",
            field="address",
            existing=unchanged(instance, ["address", "vrf_id", "role"]),
        )


def _owner(address):
    port = address.assigned_object
    return f" on {port.parent_object} {port}" if port else ""
