"""Rules about cables and what they connect."""

from collections.abc import Iterator

from chapelle.checks.rules.scene import Fault, Rule, Scene
from chapelle.model import records as r

# A server's data ports in use, and the power feeds that it lives from.
DATA_PORTS = 2
FEEDS = 2


def open_cables(scene: Scene) -> Iterator[Fault]:
    """A cable has two ends, and they are plugged into two things."""
    for cable in scene.content.cables:
        ends = (cable.a_terminations, cable.b_terminations)
        if all(ends) and not set(ends[0]) & set(ends[1]):
            continue
        what = "both ends in one port" if all(ends) else "one end" if any(ends) else "no end"
        yield Fault(
            objects=(scene.ref("cables", cable), *scene.devices_on(cable)),
            expected="a cable between two ports",
            found=f"{scene.names.name('cables', cable.id)}: {what}",
            remedy="plug the cable in NetBox as it is plugged in the rack, or delete it",
        )


def data_ports(scene: Scene) -> Iterator[Fault]:
    """A server hangs on two different switches."""
    for server in scene.servers:
        ports = [port for port in _ports(scene, server) if not port.mgmt_only]
        switches = [_switch(scene, port) for port in ports]
        reached = [switch for switch in switches if switch]
        if len(reached) >= DATA_PORTS and len(set(reached)) >= DATA_PORTS:
            continue
        seen = ", ".join(
            f"{port.name}: {switch or 'not cabled'}"
            for port, switch in zip(ports, switches, strict=True)
        )
        yield Fault(
            objects=(scene.ref("devices", server),),
            expected=f"{DATA_PORTS} data ports, each cabled to another switch",
            found=seen or "no data port",
            remedy="enter the cables in NetBox as they are plugged",
        )


def management_ports(scene: Scene) -> Iterator[Fault]:
    """A server has a management controller that can be reached."""
    for server in scene.servers:
        ports = [port for port in _ports(scene, server) if port.mgmt_only]
        if any(_switch(scene, port) for port in ports):
            continue
        yield Fault(
            objects=(scene.ref("devices", server),),
            expected="a management-only interface (bmc) that is cabled to a switch",
            found=f"{', '.join(port.name for port in ports)}: not cabled" if ports else "none",
            remedy="enter the interface and its cable in NetBox",
        )


def _ports(scene: Scene, device: r.Device) -> list[r.Interface]:
    interfaces = scene.dc.interfaces_by_device.get(device.id, ())
    return [port for port in interfaces if port.type not in r.VIRTUAL_TYPES and port.enabled]


def _switch(scene: Scene, port: r.Interface) -> str | None:
    """The name of the device at the far end of the port's cable."""
    peer = scene.dc.peer_interface(port)
    return scene.names.name("devices", peer.device) if peer and peer.device != port.device else None


def power(scene: Scene) -> Iterator[Fault]:
    """A server lives when either of two power feeds is dead."""
    for server in scene.servers:
        feeds = scene.dc.feeds(server)
        if len(feeds) >= FEEDS:
            continue
        yield Fault(
            objects=(scene.ref("devices", server),),
            expected=f"cords to {FEEDS} power feeds by way of PDUs",
            found=", ".join(feed.name for feed in feeds) or "none",
            remedy="enter the cords in NetBox as they are plugged",
        )


RULES: dict[str, tuple[str, Rule]] = {
    "open-cable": ("error", open_cables),
    "data-ports": ("error", data_ports),
    "management-port": ("error", management_ports),
    "power-feeds": ("warning", power),
}
