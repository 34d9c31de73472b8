"""Cables between nodes: each port connected as NetBox says, and again when a node comes back.

What is connected is found by asking the kernel, so that a lab whose `up` was killed, or a node of
which half the cables vanished with its neighbour, is put right by the next `up`.

A port is one of three things. With a cable to another node that lives it is one end of a veth pair
whose other end is that node's port. Without one it is plugged into the hub, or, on a switch, it is
a tap device that nothing holds: an interface like any other, without a carrier, for a sixth of the
time that a veth pair takes to make.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from chapelle import lazy
from chapelle.errors import ChapelleError
from chapelle.lab import wires
from chapelle.lab.ports import End, Port
from chapelle.lab.spec import Cable, Node

if TYPE_CHECKING:
    import pyroute2
else:
    pyroute2 = lazy.library("pyroute2")

# NETNSA_NSID_NOT_ASSIGNED of <linux/net_namespace.h>, as an unsigned number.
NO_NUMBER = 0xFFFFFFFF


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    """An interface as its namespace shows it; `peer` is the index of a veth's other end there."""

    index: int
    kind: str
    peer: int
    peer_namespace: int | None


class _Place:
    """A network namespace that has ports of nodes in it, and its links when we looked last."""

    def __init__(self, namespace: int, *, empty: bool = False) -> None:
        self.namespace = namespace
        self.links: dict[str, _Link] = {}
        self._ipr: Any = None
        self._numbers: dict[int, int | None] = {}
        if not empty:
            self._look()

    def _look(self) -> None:
        with wires.entered(self.namespace):
            self._ipr = pyroute2.IPRoute()
        for link in self._ipr.get_links():
            info = link.get_attr("IFLA_LINKINFO")
            self.links[str(link.get_attr("IFLA_IFNAME"))] = _Link(
                index=link["index"],
                kind=str(info.get_attr("IFLA_INFO_KIND")) if info else "",
                peer=link.get_attr("IFLA_LINK") or 0,
                peer_namespace=link.get_attr("IFLA_LINK_NETNSID"),
            )

    def close(self) -> None:
        """Close the netlink socket, if there is one; the namespace stays open."""
        if self._ipr is not None:
            self._ipr.close()

    def number_of(self, other: "_Place") -> int | None:
        """By which number this namespace knows the other one; None for itself or if it does not."""
        if other is self or self._ipr is None:
            return None
        if other.namespace not in self._numbers:
            number = self._ipr.get_netnsid(fd=other.namespace)["nsid"]
            self._numbers[other.namespace] = None if number == NO_NUMBER else number
        return self._numbers[other.namespace]

    def delete(self, name: str) -> None:
        """Take an interface away; one that is gone already is no error."""
        link = self.links.pop(name, None)
        if link is not None:
            with contextlib.suppress(pyroute2.NetlinkError):
                self._ipr.link("del", index=link.index)


class Cabling:
    """The cables of a lab's nodes.

    Arguments:
        hub: the lab's hub.
        nodes: all nodes of the lab, by name, also those that are down.
        cables: those between them.
        running: a process of each node that runs, by the node's name.
    """

    def __init__(
        self,
        hub: wires.Hub,
        nodes: Mapping[str, Node],
        cables: Iterable[Cable],
        running: Mapping[str, int],
    ) -> None:
        self._hub = hub
        self._nodes = nodes
        self._running = running
        self._far = {end: other for c in cables for end, other in ((c.a, c.b), (c.b, c.a))}
        self._places: dict[str, _Place] = {}
        self._joined: set[End] = set()

    def connect(self, start: Sequence[Node], before: Iterable[Cable] = ()) -> dict[str, int]:
        """Connect the ports of nodes that are about to start, and put right those that run.

        Arguments:
            start: nodes that do not run.
            before: the cables as they were when this was last done. Of the nodes that run, those
                that have a cable, or had one, are looked at.

        Returns:
            A descriptor of the network namespace of each node of `start`, by its name; whoever gets
            them closes them.
        """
        namespaces: dict[str, int] = {}
        try:
            for each in start:
                if each.kind != "nspawn":
                    namespaces[each.name] = os.dup(self._hub.namespace)
                    self._plug_full_kernel(each)
                else:
                    namespaces[each.name] = wires.new_namespace()
                    self._places[each.name] = _Place(namespaces[each.name], empty=True)
            concerned = {end.node for end in self._far}
            concerned |= {end.node for cable in before for end in (cable.a, cable.b)}
            for name in sorted(concerned & self._running.keys() & self._nodes.keys()):
                if self._nodes[name].kind == "nspawn":
                    self._enter_running(name)
            for name in list(self._places):
                for port in self._nodes[name].ports:
                    self._settle(self._nodes[name], port)
        except BaseException as error:
            for namespace in namespaces.values():
                os.close(namespace)
            if isinstance(error, pyroute2.NetlinkError):
                raise ChapelleError(
                    "The nodes cannot be wired up.",
                    where="their network namespaces",
                    expected="veth pairs between their ports",
                    found=str(error),
                ) from error
            raise
        finally:
            self._close(namespaces)
        return namespaces

    def _plug_full_kernel(self, node: Node) -> None:
        """Of a full kernel only what leads to the hub is made here; see `chapelle.lab.uml`."""
        self._hub.plug_taps(node)

    def _enter_running(self, name: str) -> None:
        """Look into the namespace of a node that runs; one that has just died has no cables."""
        with contextlib.suppress(OSError):
            path = f"/proc/{self._running[name]}/ns/net"
            self._places[name] = _Place(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def _close(self, kept: Mapping[str, int]) -> None:
        for name, place in self._places.items():
            place.close()
            if name not in kept:
                os.close(place.namespace)
        self._places = {}

    def _settle(self, node: Node, port: Port) -> None:
        """See that a port is connected to what it should be."""
        end = End(node=node.name, port=port.name)
        far = self._far.get(end)
        place, name = self._places[node.name], port.name
        link = place.links.get(name)
        if far is not None and far.node in self._places:
            if end not in self._joined and not self._is_pair(end, far):
                self._join(end, far)
        elif far is not None or port.dark:
            if link is not None and link.kind != "tun":
                place.delete(name)
                link = None
            if link is None:
                _make_dark(place, port)
        elif link is None or not self._hub.has(node.name, port.name):
            place.delete(name)
            self._hub.plug(node, port, place.namespace)

    def _is_pair(self, one: End, other: End) -> bool:
        """Whether two ports are the ends of one veth pair, asked of both sides."""
        here, there = self._places[one.node], self._places[other.node]
        a, b = here.links.get(one.port), there.links.get(other.port)
        if a is None or b is None or (a.peer, b.peer) != (b.index, a.index):
            return False
        return a.peer_namespace == here.number_of(there)

    def _join(self, one: End, other: End) -> None:
        sides = []
        for end in (one, other):
            place, node = self._places[end.node], self._nodes[end.node]
            place.delete(end.port)
            port = next(port for port in node.ports if port.name == end.port)
            sides.append(wires.side(port, place.namespace))
        self._hub.pair(*sides)
        self._joined |= {one, other}


def _make_dark(place: _Place, port: Port) -> None:
    """A port that no cable is plugged into."""
    with wires.entered(place.namespace):
        wires.make_tap(port.name)
