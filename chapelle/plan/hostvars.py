"""What Ansible needs to know of one server, from the model: plain JSON values, role-prefixed names.

The roles' defaults and `inventory/group_vars` say how all servers are run; this says what is of one
server only and stands in NetBox: its name, its links and addresses, the servers of time and names
that its network has. Everything that needs thought is thought here, so that templates stay plain.

A kernel that cannot do bonding or VLANs (the lab's, often) gets a plain port with the primary
address instead, and `network_not_exercised` names what was left out. Nothing is left out silently.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chapelle.checks.links import refuse
from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

BOND_TYPE = "lag"
VLAN_TYPE = "virtual"

# The service addresses that servers use are NetBox IP addresses without a device, named by role
# and number: time1.chapelle.internal, dns2.chapelle.internal.
TIME_SERVICE = "time"
NAME_SERVICE = "dns"

# The IPAM role of the prefixes where operators, monitoring, time and name servers are.
SERVICES = "services"

Link = dict[str, Any]


class Kernels(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernels of hosts can do, as `hostvars` wants it; what is absent, they can.

    `common` is said of all hosts, and `own` of some by name, in its place.
    """

    common: Mapping[str, bool] = {}
    own: Mapping[str, Mapping[str, bool]] = {}

    def of(self, device: r.Device) -> Mapping[str, bool]:
        """What the kernel of this one can do."""
        return self.own.get(device.name or "", self.common)


WHOLE = Kernels()


def hostvars(dc: Datacentre, device: r.Device, kernel: Mapping[str, bool]) -> dict[str, Any]:
    """The variables of one server.

    Arguments:
        dc: the datacentre.
        device: one of its servers.
        kernel: what the server can do: `bonding`, `vlan`, and `clock` (set its clock, which a
            container cannot); what is absent, it can.

    Returns:
        Names that begin with the name of the role that reads them; see `roles/*/README.md`.

    Raises:
        InputError: the server has no name or no primary IPv4 address on an interface of its own, or
            a link that cannot be built as NetBox describes it; or NetBox names nobody in its VRF
            that tells names or the time, or that may manage it.
    """
    primary = _primary(dc, device)
    links = intended_links(dc, device)
    refuse(links, f"device {device.name}")
    usable, not_exercised = fit_to_kernel(links, kernel, primary.address)
    vrf = primary.vrf
    name = device.name or ""
    sets_clock = kernel.get("clock", True)
    return {
        "base_hostname": name,
        "base_fqdn": primary.dns_name or name,
        "base_address": _bare(primary.address),
        "base_serial": device.serial,
        "base_resolvers": _services(dc, NAME_SERVICE, vrf),
        "access_certificate_names": sorted({name, primary.dns_name or name}),
        "firewall_management": _some(
            dc, vrf, prefixes(dc, SERVICES, vrf), f"prefix with the IPAM role {SERVICES}"
        ),
        "time_servers": _services(dc, TIME_SERVICE, vrf),
        "time_sets_clock": sets_clock,
        "time_not_exercised": [] if sets_clock else ["clock: measured, not set (a container)"],
        "network_links": usable,
        "network_not_exercised": not_exercised,
    }


def intended_links(dc: Datacentre, device: r.Device) -> list[Link]:
    """The server's own links in the order in which they are built: ports, bonds, VLANs.

    Each is a mapping of `name`, `kind` (physical, bond or vlan), `mac`, `mtu` (bytes), `addresses`
    (with prefix length), `gateway`, `bond` (that the port belongs to), `parent` and `vid` (of a
    VLAN). What does not apply is None. Management-only interfaces belong to the BMC.

    Raises:
        InputError: an interface whose bond, VLAN or parent cannot be known.
    """
    interfaces = [
        i for i in dc.interfaces_by_device.get(device.id, ()) if i.enabled and not i.mgmt_only
    ]
    by_id = {interface.id: interface for interface in interfaces}
    links = [_link(dc, device, interface, by_id) for interface in interfaces]
    order = {"physical": 0, "bond": 1, "vlan": 2}
    return sorted(links, key=lambda link: (order[link["kind"]], link["name"]))


def _link(
    dc: Datacentre, device: r.Device, interface: r.Interface, own: Mapping[int, r.Interface]
) -> Link:
    kind = {BOND_TYPE: "bond", VLAN_TYPE: "vlan"}.get(interface.type, "physical")
    addresses = [a.address for a in dc.addresses_by_interface.get(interface.id, ())]
    bond = own.get(interface.lag or 0)
    if interface.lag is not None and bond is None:
        expected = "an enabled bond of this server to belong to"
        raise _unknown(device, interface, expected, "one that is disabled, or another device's")
    link: Link = {
        "name": interface.name,
        "kind": kind,
        "mac": interface.mac_address.lower() if interface.mac_address else None,
        "mtu": interface.mtu,
        "addresses": sorted(addresses),
        "gateway": _gateway(dc, device, interface),
        "bond": bond.name if bond else None,
        "parent": None,
        "vid": None,
    }
    if kind == "vlan":
        parent = own.get(interface.parent or 0)
        if parent is None:
            raise _unknown(device, interface, "a parent interface", "none")
        link["parent"] = parent.name
        link["vid"] = _vid(dc, device, interface)
    return link


def _vid(dc: Datacentre, device: r.Device, interface: r.Interface) -> int:
    vlan = dc.vlans.get(interface.untagged_vlan or 0)
    if vlan is not None:
        return vlan.vid
    if match := re.fullmatch(r".+\.(\d{1,4})", interface.name):
        return int(match[1])
    expected = "an untagged VLAN, or a name that ends with its number, such as bond0.202"
    raise _unknown(device, interface, expected, "neither")


def _gateway(dc: Datacentre, device: r.Device, interface: r.Interface) -> str | None:
    """The first address of the primary address' prefix: where the leafs' gateway is by design."""
    primary = dc.primary_ip4(device)
    if primary is None or primary not in dc.addresses_by_interface.get(interface.id, ()):
        return None
    first = next(ipaddress.ip_interface(primary.address).network.hosts())
    return None if str(first) == _bare(primary.address) else str(first)


def fit_to_kernel(
    links: Sequence[Link], kernel: Mapping[str, bool], primary: str
) -> tuple[list[Link], list[str]]:
    """What of `links` a kernel can build, and a line for each thing that it cannot.

    Without bonding, the bond's addresses, gateway and MTU move to the first of its ports, and VLANs
    stand on that port. Without VLANs they are left out, their addresses with them.

    Arguments:
        links: as from `intended_links`.
        kernel: `bonding` and `vlan`.
        primary: the primary address; it is never left out.
    """
    usable = [dict(link) for link in links]
    missing: list[str] = []
    if not kernel.get("bonding", True):
        usable = _without_bonds(usable, missing)
    if not kernel.get("vlan", True):
        for link in usable:
            if link["kind"] != "vlan":
                continue
            if primary in link["addresses"]:
                raise InputError(
                    "The primary address is on a VLAN, which the kernel of this host cannot build.",
                    where=f"interface {link['name']}, address {primary}",
                    expected="a kernel with 8021q",
                    found="none",
                )
            # The same words for every host, so that a report can say them once.
            missing.append(f"{link['name']}: VLAN and address (this kernel has no 8021q)")
        usable = [link for link in usable if link["kind"] != "vlan"]
    return usable, missing


def _without_bonds(links: list[Link], missing: list[str]) -> list[Link]:
    stand_ins: dict[str, str] = {}
    for bond in [link for link in links if link["kind"] == "bond"]:
        ports = [link for link in links if link["bond"] == bond["name"]]
        names = " and ".join(port["name"] for port in ports)
        missing.append(f"{bond['name']}: 802.3ad over {names} (this kernel has no bonding)")
        for port in ports:
            port["bond"] = None
            port["mtu"] = bond["mtu"]
        if ports:
            ports[0]["addresses"] = bond["addresses"]
            ports[0]["gateway"] = bond["gateway"]
            stand_ins[bond["name"]] = ports[0]["name"]
    for link in links:
        link["parent"] = stand_ins.get(link["parent"] or "", link["parent"])
    return [link for link in links if link["kind"] != "bond"]


def _some(dc: Datacentre, vrf: int | None, found: list[str], what: str) -> list[str]:
    """What was found, if anything was: a server without it would be configured and not work."""
    if not found:
        names = {each.id: each.name for each in dc.content.vrfs}
        where = f"VRF {names.get(vrf, vrf)}" if vrf is not None else "the global table"
        raise InputError(
            f"The servers of {where} lack an active {what}.",
            where=f"NetBox, {where}",
            expected=f"at least one active {what}",
            found="none",
            remedy="add it in NetBox; see docs/your-own-netbox.md",
        )
    return found


def _services(dc: Datacentre, service: str, vrf: int | None) -> list[str]:
    what = f"IP address whose DNS name is {service}1 or {service}1.<domain>"
    return _some(dc, vrf, service_addresses(dc, service, vrf), what)


def service_addresses(dc: Datacentre, service: str, vrf: int | None) -> list[str]:
    """The active addresses in `vrf` named `<service><number>` or `<service><number>.<domain>`."""
    pattern = re.compile(rf"{re.escape(service)}\d+(\..+)?")
    found = {
        (address.dns_name, _bare(address.address))
        for address in dc.content.ip_addresses
        if address.vrf == vrf and address.status == "active" and pattern.fullmatch(address.dns_name)
    }
    return [address for _, address in sorted(found)]


def prefixes(dc: Datacentre, role: str, vrf: int | None) -> list[str]:
    """The active prefixes in `vrf` that have the IPAM role of that slug."""
    ids = {each.id for each in dc.content.roles if each.slug == role}
    found = {
        prefix.prefix
        for prefix in dc.content.prefixes
        if prefix.role in ids and prefix.vrf == vrf and prefix.status == "active"
    }
    return sorted(found)


def _primary(dc: Datacentre, device: r.Device) -> r.IPAddress:
    primary = dc.primary_ip4(device)
    own = {interface.id for interface in dc.interfaces_by_device.get(device.id, ())}
    if not device.name or primary is None or primary.assigned_object_id not in own:
        raise InputError(
            "A server has no name, or no primary IPv4 address on an interface of its own.",
            where=f"device {device.name or device.id} in NetBox",
            expected="both",
            found=f"name {device.name!r}, primary address {primary.address if primary else None!r}",
            remedy="set them in NetBox; invoke check lists all such devices",
        )
    return primary


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _unknown(device: r.Device, interface: r.Interface, expected: str, found: str) -> InputError:
    return InputError(
        "An interface cannot be built from what NetBox says of it.",
        where=f"device {device.name}, interface {interface.name}",
        expected=expected,
        found=found,
        remedy="complete the interface in NetBox",
    )
