"""Whether a change touches the way by which we reach the switch: pure.

Such a change can cut us off in the very moment in which it is right, so it is announced and the
device waits longer before it goes back by itself.
"""

import ipaddress
import re

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

_DEFAULT_ROUTE = re.compile(
    r"\bip(?:v6)? route (?:vrf \S+ )?(?:0\.0\.0\.0/0|::/0|0\.0\.0\.0 0\.0\.0\.0)(?!\S)"
)
_IPV4 = re.compile(r"(?<![\w.:/])\d+(?:\.\d+){3}(?:/\d+)?(?![\w.:/])")


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session with a switch ends: interface, address without prefix length, VRF's name.

    `network` is what is connected there, with prefix length; the empty string if that is not known.
    """

    interface: str
    address: str
    network: str = ""
    vrf: str = ""


def path_of(dc: Datacentre, device: r.Device) -> Path | None:
    """The management path of a switch by its primary address; None when NetBox does not say."""
    address = dc.primary_ip4(device)
    if address is None or address.assigned_object_type != "dcim.interface":
        return None
    interface = dc.interfaces.get(address.assigned_object_id or 0)
    if interface is None:
        return None
    vrf = dc.vrfs.get(interface.vrf or 0)
    connected = ipaddress.ip_interface(address.address)
    return Path(
        interface=interface.name,
        address=str(connected.ip),
        network=str(connected.network),
        vrf=vrf.name if vrf else "",
    )


def touched(diff: str, path: Path | None) -> tuple[str, ...]:
    """The lines of a diff that touch the path, each behind the section that it is in.

    So does a line with an address or prefix within the network that is connected there: it leads
    elsewhere what came to us. One that is wider does not, for the longest prefix wins.

    Arguments:
        diff: as `chapelle.fabric.ownership.diff` makes it: each line has `+`, `-`, or a blank in
            front, the last for what the lines below it belong to.
        path: how the switch is reached; of an unknown path nothing can be said.
    """
    if path is None:
        return ()
    words = [re.escape(path.interface), re.escape(path.address)]
    if path.vrf:
        words.append(rf"(?:vrf|instance|context) {re.escape(path.vrf)}")
    pattern = re.compile(rf"(?<![\w.:/-])(?:{'|'.join(words)})(?![\w:-]|\.\d)")
    found = []
    section = ""
    for line in diff.splitlines():
        sign, text = line[:1], line[1:]
        if text and not text[0].isspace():
            section = text
        if sign == " ":
            continue
        if (
            pattern.search(section)
            or pattern.search(text)
            or _DEFAULT_ROUTE.search(text)
            or _leads_elsewhere(text, path.network)
        ):
            found.append(line if section == text else f"{section}: {sign}{text.strip()}")
    return tuple(found)


def _leads_elsewhere(line: str, network: str) -> bool:
    if not network:
        return False
    connected = ipaddress.IPv4Network(network)
    return any(_network(each).subnet_of(connected) for each in _IPV4.findall(line))


def _network(text: str) -> ipaddress.IPv4Network:
    """The network of an address or prefix; of what is no such thing, all of them."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return ipaddress.IPv4Network("0.0.0.0/0")
