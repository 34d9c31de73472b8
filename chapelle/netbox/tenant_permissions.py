"""What a tenant's own read-only user may be granted in NetBox: permissions to enter, not entered.

NetBox restricts which objects a user finds, by a filter on each kind (users.ObjectPermission). It
does not restrict what an object that is found says of others: whatever has a cable shows the far
end, whose ever it is (`link_peers`, `connected_endpoints`, `trace`). So nothing with a cable is
granted, nor what counts or lists everybody's things (sites, locations, journal, change log).
tests/netbox/test_tenant_user.py looks for leaks in all of NetBox's API.
Source: NetBox 4.7 documentation, "Object-Based Permissions"; dcim.api.views, PathEndpointMixin.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from chapelle.errors import InputError
from chapelle.model.tenancy import Slug

# What has a tenant of its own and no cable.
_OWNED = (
    "dcim.device",
    "dcim.rack",
    "dcim.rackreservation",
    "ipam.asn",
    "ipam.routetarget",
    "ipam.vlan",
    "ipam.vrf",
    "vpn.l2vpn",
)
# What may have none, and is then its VRF's.
_IN_VRF = ("ipam.ipaddress", "ipam.prefix")


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One of NetBox's object permissions, as its API takes it; any of the constraints suffices."""

    name: str
    object_types: tuple[str, ...]
    constraints: tuple[dict[str, Any], ...]
    actions: tuple[str, ...] = ("view",)


def permissions(slug: str) -> tuple[Permission, ...]:
    """All that a tenant's read-only user gets.

    Raises:
        InputError: that is no slug.
    """
    try:
        msgspec.convert(slug, Slug)
    except msgspec.ValidationError as error:
        raise InputError(
            "This is no slug of a tenant.", expected="a slug such as ap-hp", found=repr(slug)
        ) from error
    own = {"tenant__slug": slug}
    by_vrf = {"tenant__isnull": True, "vrf__tenant__slug": slug}
    return (
        Permission(
            name=f"tenant-{slug}-itself",
            object_types=("tenancy.tenant",),
            constraints=({"slug": slug},),
        ),
        Permission(name=f"tenant-{slug}-own", object_types=_OWNED, constraints=(own,)),
        Permission(name=f"tenant-{slug}-network", object_types=_IN_VRF, constraints=(own, by_vrf)),
    )


def lines(permission: Permission) -> Iterator[str]:
    """A permission as a person enters it in NetBox's form."""
    constraints = msgspec.json.encode(permission.constraints, order="deterministic").decode()
    yield f"name:          {permission.name}"
    yield f"object types:  {', '.join(permission.object_types)}"
    yield f"actions:       {', '.join(permission.actions)}"
    yield f"constraints:   {constraints}"
    yield ""
