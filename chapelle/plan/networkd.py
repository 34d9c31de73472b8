"""A server's links as systemd-networkd's files. Pure: links in, files out.

Source: systemd.netdev(5), systemd.network(5) of systemd 252 (Debian 12).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chapelle.checks.links import refuse

FOLDER = "/etc/systemd/network"
HEADER = "# Managed by chapelle (role network). The next run undoes changes that are made here.\n"

# Both ends of a bond must say the same: the leaf pairs use LACP at its fast rate.
BOND = (
    ("Mode", "802.3ad"),
    ("MIIMonitorSec", "100ms"),
    ("LACPTransmitRate", "fast"),
    ("TransmitHashPolicy", "layer3+4"),
    ("MinLinks", "1"),
)

Link = Mapping[str, Any]
Options = Sequence[tuple[str, Any]]


def files(links: Sequence[Link]) -> list[dict[str, str]]:
    """One `.network` file a link, and one `.netdev` file for each link that software makes.

    Arguments:
        links: as `chapelle.plan.hostvars.intended_links` gives them.

    Returns:
        `path` and `content` of each file, in the order of `links`.

    Raises:
        InputError: a link cannot be built; it may have been set by hand, in group_vars.
    """
    refuse(links, "variable network_links")
    found = []
    for link in links:
        if link["kind"] != "physical":
            found.append(_file(link, "netdev", netdev(link)))
        found.append(_file(link, "network", network(link, links)))
    return found


def _file(link: Link, kind: str, content: str) -> dict[str, str]:
    return {"path": f"{FOLDER}/10-chapelle-{link['name']}.{kind}", "content": content}


def netdev(link: Link) -> str:
    """What makes a bond or a VLAN interface."""
    sections: list[tuple[str, Options]] = [
        (
            "NetDev",
            [("Name", link["name"]), ("Kind", link["kind"]), ("MTUBytes", link["mtu"])],
        )
    ]
    if link["kind"] == "bond":
        sections.append(("Bond", BOND))
    else:
        sections.append(("VLAN", [("Id", link["vid"])]))
    return _text(sections)


def network(link: Link, links: Sequence[Link]) -> str:
    """What configures a link."""
    options: list[tuple[str, Any]] = [("LinkLocalAddressing", "no"), ("IPv6AcceptRA", "no")]
    options += [("Bond", link["bond"])]
    options += [("VLAN", each["name"]) for each in links if each["parent"] == link["name"]]
    options += [("Address", address) for address in link["addresses"]]
    options += [("Gateway", link["gateway"])]
    required = "enslaved" if link["bond"] else "no" if not link["addresses"] else None
    return _text(
        [
            ("Match", [("Name", link["name"])]),
            ("Link", [("MTUBytes", link["mtu"]), ("RequiredForOnline", required)]),
            ("Network", options),
        ]
    )


def _text(sections: Sequence[tuple[str, Options]]) -> str:
    parts = [HEADER]
    for name, options in sections:
        lines = [f"{key}={value}\n" for key, value in options if value is not None]
        if lines:
            parts.append(f"[{name}]\n{''.join(lines)}")
    return "\n".join(parts)
