"""The links of a switch with FRRouting, by systemd-networkd's files as sections (`model.linkfile`).

Sources: systemd.netdev(5), systemd.network(5) of systemd 252.
"""

import re
from collections.abc import Iterator

import msgspec

from chapelle.checks.tenancy.isolation.running.words import leak, matching, numbers
from chapelle.fabric.sections import Tree
from chapelle.model.isolation import GLOBAL, Door, Leak

type Options = list[tuple[str, str]]


# What says that a link is a table's.
_ROUTED = (("Network", "VRF"), ("Network", "Address"), ("Address", "Address"))


class Link(msgspec.Struct, kw_only=True):
    """One link, as far as files say: sections of its `.netdev` and its `.network`."""

    name: str
    made: dict[str, Options] = {}
    set: list[tuple[str, Options]] = []

    def get(self, section: str, key: str) -> list[str]:
        """All values of an option of its `.network`."""
        found = [options for title, options in self.set if title == section]
        return [value for options in found for name, value in options if name == key]

    def one(self, section: str, key: str) -> str:
        """An option of its `.netdev`, or the empty string."""
        return dict(self.made.get(section, ())).get(key, "")

    @property
    def kind(self) -> str:
        """What kind of link it is, empty for a port."""
        return self.one("NetDev", "Kind")

    @property
    def table(self) -> str:
        """The VRF that it is in."""
        return (self.get("Network", "VRF") or [GLOBAL])[-1]


class Links:
    """All links of a configuration."""

    def __init__(self, tree: Tree) -> None:
        self.links: dict[str, Link] = {}
        for match, below in matching(tree, r"file \S+\.(netdev|network)"):
            sections = [(m[1], _options(m[2])) for m, _ in matching(below, r"\[(\w+)\] ?(.*)")]
            title = "NetDev" if match[1] == "netdev" else "Match"
            names = [v for name, o in sections if name == title for k, v in o if k == "Name"]
            for name in names[:1]:
                link = self.links.setdefault(name, Link(name=name))
                if match[1] == "netdev":
                    link.made = dict(sections)
                else:
                    link.set = sections

    @property
    def numbers(self) -> dict[str, str]:
        """The VRFs by the numbers of their tables."""
        vrfs = (link for link in self.links.values() if link.kind == "vrf")
        return {link.one("VRF", "Table"): link.name for link in vrfs}

    def vnis(self) -> dict[int, int]:
        """The VNI of each VLAN."""
        found = {}
        for link in self.links.values():
            vni = link.one("VXLAN", "VNI")
            if vni.isdecimal():
                for vid in self.carried(link):
                    found[vid] = int(vni)
        return found

    def carried(self, link: Link) -> frozenset[int]:
        """The VLANs that a bridge's port carries."""
        vids = [numbers(value) for value in link.get("BridgeVLAN", "VLAN")]
        return frozenset().union(*vids)

    def tables(self) -> dict[int, set[str]]:
        """The VRFs of the gateways of each VLAN."""
        found: dict[int, set[str]] = {}
        parents = {
            name: link for link in self.links.values() for name in link.get("Network", "VLAN")
        }
        for link in self.links.values():
            vid, parent = link.one("VLAN", "Id"), parents.get(link.name)
            if not vid.isdecimal() or (parent and parent.kind != "bridge"):
                continue
            above = [self.links.get(name) for name in link.get("Network", "MACVLAN")]
            for each in (link, *above):
                if each and any(each.get(*option) for option in _ROUTED):
                    found.setdefault(int(vid), set()).add(each.table)
        return found

    def doors(self) -> Iterator[Door]:
        """The ports that are bridged or routed, alone or in groups."""
        members: dict[str, list[str]] = {}
        for link in self.links.values():
            for group in link.get("Network", "Bond"):
                members.setdefault(group, []).append(link.name)
        for link in self.links.values():
            if link.kind not in ("", "bond") or link.get("Network", "Bond"):
                continue
            ports = tuple(members.get(link.name, [link.name]))
            if link.get("Network", "Bridge"):
                pvid = (link.get("BridgeVLAN", "PVID") or [""])[-1]
                untagged = int(pvid) if pvid.isdecimal() else None
                yield Door(ports=ports, untagged=untagged, tagged=self.carried(link) - {untagged})
            else:
                yield Door(ports=ports, table=link.table)
                yield from self._parts(link, ports)

    def _parts(self, link: Link, ports: tuple[str, ...]) -> Iterator[Door]:
        """The VLANs of a routed port, each routed for itself."""
        for name in link.get("Network", "VLAN"):
            if part := self.links.get(name):
                yield Door(ports=ports, table=part.table)

    def leaks(self) -> Iterator[tuple[str, Leak]]:
        """Routes of a table that lead over a link of another one."""
        named = self.numbers
        for link in self.links.values():
            for title, options in link.set:
                said = dict(options)
                table = named.get(said.get("Table", ""), "")
                own = link.name if link.kind == "vrf" else link.table
                if title == "Route" and table and table != own and "Type" not in said:
                    words = f"{link.name}: route {said.get('Destination', '')}"
                    vid = link.one("VLAN", "Id")
                    one = leak(own, words)
                    yield table, msgspec.structs.replace(one, vid=int(vid) if vid else None)


def _options(text: str) -> Options:
    words = [re.sub(r"\\x20", " ", word) for word in text.split(" ") if "=" in word]
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]
