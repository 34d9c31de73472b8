"""What is written down of a lab: what was asked for; and what has changed in NetBox since.

What runs is found by looking at what runs, never here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError
from chapelle.lab import ca, files, limits, node, spec
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import EDGE
from chapelle.settings import Settings

Say = Callable[[str], None]


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A node as `lab.json` has it.

    `pid` is its init's as the machine sees it, 0 if the node was down when the file was written.
    """

    node: spec.Node
    address: str
    aisle: str
    rack: str
    pid: int = 0


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """What `lab.json` says.

    `kernel` tells which kinds of link can be made here; `source` is our own address towards nodes;
    `cables` are those of which both ends are nodes.
    """

    instance: str
    netns: str
    started: float
    kernel: dict[str, bool]
    image: str
    limits: limits.Raised
    hosts: dict[str, Host]
    source: str = ""
    cables: tuple[spec.Cable, ...] = ()


def path(settings: Settings) -> Path:
    """Where a lab's notes are."""
    return settings.state / "lab" / "lab.json"


def read(settings: Settings) -> Lab | None:
    """What is known of this state's lab, or None.

    Raises:
        ChapelleError: the file cannot be understood.
    """
    try:
        return msgspec.json.decode(path(settings).read_bytes(), type=Lab)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ChapelleError(
            "The lab's notes cannot be read.",
            where=str(path(settings)),
            expected="what lab.up writes",
            found=str(error),
            remedy="invoke lab.down, then lab.up",
        ) from error


def write(settings: Settings, lab: Lab) -> None:
    """Write down what is wanted, before it is made, and how the client reaches it."""
    files.write(path(settings), msgspec.json.format(msgspec.json.encode(lab)))
    hosts = [(host.node.name, host.node.fqdn, host.address) for host in lab.hosts.values()]
    ca.write_client(settings, hosts, lab.source)
    switches = [host.node for host in lab.hosts.values() if host.node.is_switch]
    ca.write_switch_keys(
        settings,
        [(each.ip, each.name, node.public_host_key(settings, each.name)) for each in switches],
    )


def retired(dc: Datacentre, wanted: Sequence[spec.Node], known: Lab | None, say: Say) -> list[str]:
    """The nodes whose server NetBox no longer has, or describes otherwise than it did."""
    old = {name: host.node for name, host in known.hosts.items()} if known else {}
    there = spec.names(dc)
    now = {each.name: each for each in wanted}
    gone = [name for name in old if name not in there]
    moved = [n for n in old if n in now and _plain(now[n]) != _plain(old[n])]
    for name in gone:
        what = {spec.SERVER: "server", EDGE: "edge"}.get(old[name].role, "switch")
        say(f"removing {name}: NetBox has no such {what} any more")
    for name in moved:
        say(f"rebuilding {name}: it has other {_changed(old[name], now[name])} now")
    return gone + moved


def kinds(known: Lab | None) -> dict[str, spec.Kind]:
    """The kind of each node that is no container, by name."""
    hosts = known.hosts.items() if known else ()
    return {name: host.node.kind for name, host in hosts if host.node.kind != "nspawn"}


def recabled(wanted: Sequence[spec.Node], known: Lab | None, say: Say) -> list[str]:
    """The full kernels that have to start again, for their cables lead elsewhere now."""
    old = {name: host.node for name, host in known.hosts.items()} if known else {}
    found = [
        each.name
        for each in wanted
        if (before := old.get(each.name, each)) != each and _plain(before) == _plain(each)
    ]
    for name in found:
        say(f"restarting {name}: its cables lead elsewhere now")
    return found


def _plain(each: spec.Node) -> spec.Node:
    """A node without where its cables lead."""
    ports = tuple(msgspec.structs.replace(port, far=None) for port in each.ports)
    return msgspec.structs.replace(each, ports=ports)


def _changed(old: spec.Node, new: spec.Node) -> str:
    return ", ".join(
        field for field in old.__struct_fields__ if getattr(old, field) != getattr(new, field)
    )


def hosts_of(dc: Datacentre, wanted: Sequence[spec.Node], known: Lab | None) -> dict[str, Host]:
    """The nodes that the lab is to have: those wanted, and earlier ones that NetBox still has."""
    there = spec.names(dc)
    hosts = {n: host for n, host in known.hosts.items() if n in there} if known else {}
    for each in wanted:
        hosts[each.name] = Host(node=each, address=each.ip, aisle=each.aisle, rack=each.rack)
    return dict(sorted(hosts.items()))


def not_exercised(lab: Lab) -> list[str]:
    """What of the datacentre's network the switches of this lab cannot do, one line each."""
    containers = [host.node for host in lab.hosts.values() if host.node.kind == "nspawn"]
    switches = sum(node.is_switch for node in containers)
    edges = sum(node.role == EDGE for node in containers)
    found = []
    if switches:
        found.append(
            f"{switches} switches are containers: their routing protocols and LLDP are real, their"
            " VLANs, VXLAN, VRFs, and bonds are not (nodes of --kind=uml have them); frames between"
            " servers go through a plain bridge"
        )
    if edges:
        found.append(
            f"{edges} tenants' edges are containers: their cables and LLDP are real, their groups"
            " and VLANs are not, and no frame of theirs gets through a switch (nodes of --kind=uml"
            " have them)"
        )
    return found
