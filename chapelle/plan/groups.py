"""The Ansible groups of a device: aisle, rack, role, tenant, platform, status, leafs and feeds."""

import re
from collections.abc import Sequence

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre


def groups(dc: Datacentre, device: r.Device) -> list[str]:
    """The names of the groups that a device belongs to, in order.

    `aisle_2`, `rack_a2_r01`, `role_compute`, `tenant_ville_de_paris`, `platform_debian_12` and its
    family `platform_debian`, `status_active`, `leafs_leaf_a2_1` (the pair leaf-a2-1a, leaf-a2-1b),
    and for each power feed one such as `feed_a2_r01_a`. What is not known of a device has no group.
    """
    found = []
    if aisle := dc.aisle_number(device):
        found.append(f"aisle_{aisle}")
    if rack := dc.racks.get(device.rack or 0):
        found.append(group_name("rack", rack.name))
    if role := dc.role_of(device):
        found.append(group_name("role", role))
    if tenant := dc.tenants.get(device.tenant or 0):
        found.append(group_name("tenant", tenant.slug))
    if platform := dc.platforms.get(device.platform or 0):
        found.append(group_name("platform", platform.slug))
        if family := re.fullmatch(r"([a-z]+)-\d[\d-]*", platform.slug):
            found.append(group_name("platform", family[1]))
    found.append(group_name("status", device.status))
    if leafs := dc.leaf_pair(device):
        found.append(group_name("leafs", pair_name(leafs)))
    found += [group_name("feed", feed.name) for feed in dc.feeds(device)]
    return found


def group_name(kind: str, name: str) -> str:
    """A name that Ansible takes for a group: small letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", f"{kind}_{name}".lower()).strip("_")


def pair_name(switches: Sequence[str]) -> str:
    """One name for switches that work together: what their names have in common, if they do.

    leaf-a2-1a and leaf-a2-1b make leaf-a2-1. Names that differ in more than a last letter are put
    one after the other.
    """
    stems = {name[:-1] for name in switches}
    if len(switches) > 1 and len(stems) == 1:
        return stems.pop()
    return "-".join(switches)
