"""What Ansible's inventory says: hosts, their groups and variables, and how they are reached."""

import fnmatch
import shlex
from pathlib import Path
from typing import Any

import msgspec

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.plan.groups import groups
from chapelle.plan.hostvars import WHOLE, Kernels, hostvars


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which devices become hosts; an empty tuple does not restrict anything.

    `hosts` are shell patterns. `switches`: whether network switches are hosts too.
    """

    aisles: tuple[str, ...] = ()
    racks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    switches: bool = False


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How hosts are reached, and what their kernels can do.

    `ssh` is the program to use instead of ssh, `ssh_config` its configuration file. Sockets of
    shared connections lie in `sockets`: the same address means another host in another lab.
    `user_authority` is the public key that signs users' certificates; the site's is in group_vars.
    """

    sockets: Path
    ssh: Path | None = None
    ssh_config: Path | None = None
    kernels: Kernels = WHOLE
    user_authority: str = ""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One host: its name, its groups and its variables."""

    name: str
    groups: list[str]
    variables: dict[str, Any]


def select(dc: Datacentre, wanted: Filter) -> list[r.Device]:
    """The devices that pass the filter, by name.

    Raises:
        InputError: an aisle or a rack does not exist, or a pattern matches no device.
    """
    for number in wanted.aisles:
        dc.aisle(number)
    racks = {dc.rack(name).id for name in wanted.racks}
    devices = list(dc.servers)
    if wanted.switches:
        devices += [d for d in dc.devices_by_name.values() if dc.role_of(d) in SWITCH_ROLES]
        devices.sort(key=lambda device: device.name or "")
    for pattern in wanted.hosts:
        if not any(_matches(device, (pattern,)) for device in devices):
            raise InputError(
                f"No host is called {pattern!r}.",
                where="the filter `hosts` of the inventory",
                expected="names of devices in NetBox, or patterns such as compute-a2-*",
                found=pattern,
            )
    return [
        device
        for device in devices
        if (not racks or device.rack in racks)
        and (not wanted.aisles or dc.aisle_number(device) in wanted.aisles)
        and (not wanted.statuses or device.status in wanted.statuses)
        and (not wanted.hosts or _matches(device, wanted.hosts))
    ]


def _matches(device: r.Device, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(device.name or "", pattern) for pattern in patterns)


def host(dc: Datacentre, device: r.Device, reach: Reach) -> Host:
    """A device as a host.

    Raises:
        InputError: NetBox says too little of the device to reach or configure it.
    """
    variables = connection(dc, device, reach)
    if dc.is_server(device):
        variables |= hostvars(dc, device, reach.kernels.of(device))
    variables |= _facts(dc, device)
    return Host(name=device.name or "", groups=groups(dc, device), variables=variables)


def connection(dc: Datacentre, device: r.Device, reach: Reach) -> dict[str, Any]:
    """Ansible's connection variables for a device.

    Raises:
        InputError: the device has no primary IPv4 address.
    """
    address = dc.primary_ip4(device)
    if address is None:
        raise InputError(
            f"{device.name} has no primary IPv4 address.",
            where=f"device {device.name} in NetBox",
            expected="an address on an interface of its own, chosen as primary",
            found="none",
            remedy="choose one in NetBox; invoke check lists all such devices",
        )
    variables: dict[str, Any] = {
        "ansible_host": address.address.partition("/")[0],
        "ansible_control_path_dir": str(reach.sockets),
    }
    if reach.ssh:
        variables["ansible_ssh_executable"] = str(reach.ssh)
    if reach.user_authority:
        variables["access_user_authority"] = reach.user_authority
    if reach.ssh_config:
        variables["ansible_ssh_common_args"] = f"-F {shlex.quote(str(reach.ssh_config))}"
    return variables


def _facts(dc: Datacentre, device: r.Device) -> dict[str, Any]:
    """What NetBox says of the device as such, for `compose`, `groups` and `keyed_groups`."""
    rack = dc.racks.get(device.rack or 0)
    tenant = dc.tenants.get(device.tenant or 0)
    platform = dc.platforms.get(device.platform or 0)
    return {
        "netbox_id": device.id,
        "netbox_status": device.status,
        "netbox_aisle": dc.aisle_number(device),
        "netbox_rack": rack.name if rack else None,
        "netbox_position": device.position,
        "netbox_role": dc.role_of(device),
        "netbox_tenant": tenant.slug if tenant else None,
        "netbox_platform": platform.slug if platform else None,
        "netbox_serial": device.serial,
        "netbox_tags": list(device.tags),
        "netbox_custom_fields": dict(device.custom_fields),
    }
