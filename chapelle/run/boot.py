"""Where the boot service works: in the lab, or on this machine's own links towards servers."""

import ipaddress
from pathlib import Path

from chapelle.drivers.boot import Place
from chapelle.errors import InputError
from chapelle.lab import notes, wires
from chapelle.model.datacentre import Datacentre
from chapelle.plan import boot
from chapelle.settings import Settings


def place(settings: Settings, dc: Datacentre) -> Place:
    """The place for this target.

    Raises:
        InputError: there is no lab; or nobody said by which address and links servers are served.
    """
    return _in_lab(settings) if settings.target == "lab" else _on_site(settings, dc)


def _run(settings: Settings) -> Path:
    return Path("/run") / f"chap-{settings.instance}.boot"


def _in_lab(settings: Settings) -> Place:
    """In the hub, on the bridges of the servers that are nodes; the hub is their gateway."""
    known = notes.read(settings)
    servers = [host.node for host in known.hosts.values() if host.node.machine] if known else []
    if known is None or not servers:
        raise InputError(
            "The lab has no machine that could boot over the network.",
            where="lab.json",
            expected="a node of kind qemu",
            found="none",
            remedy="invoke lab.up --machines=compute-a2-01",
        )
    networks = sorted({node.network for node in servers})
    return Place(
        run=_run(settings),
        address=str(networks[0].network_address + 1),
        networks=tuple(map(str, networks)),
        interfaces=tuple(wires.bridge_name(network) for network in networks),
        namespace=Path(known.netns),
    )


def _on_site(settings: Settings, dc: Datacentre) -> Place:
    address, links = settings.boot_address, settings.boot_links
    try:
        good = bool(links) and bool(ipaddress.IPv4Address(address or ""))
    except ValueError:
        good = False
    if not good or address is None:
        raise InputError(
            "Nobody said how servers that boot reach this machine.",
            where="environment variables CHAPELLE_BOOT_ADDRESS and CHAPELLE_BOOT_LINKS",
            expected="an IPv4 address of ours, and the links on which servers or relays reach us",
            found=f"{address or 'not set'}, {', '.join(links) or 'not set'}",
            remedy="export CHAPELLE_BOOT_ADDRESS=10.64.0.5 CHAPELLE_BOOT_LINKS=eth1",
        )
    return Place(run=_run(settings), address=address, networks=boot.networks(dc), interfaces=links)
