"""The conformance suite's stand-ins: a device, its SSH server, and what a test does to it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import fake_eos
import fake_nxos
from fake_ssh import Device, Server
from switch_rig import Rig, at_a_terminal, new_key

from chapelle.drivers.switch.contract import Target
from chapelle.model.switch import BgpPeer, Neighbour, Port, Vni


class FakeRig(Rig):
    """A stand-in, whose minutes are four of our seconds."""

    platform: str
    second = 0.07
    seconds = 30

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        authorised = new_key(folder / "key")
        self.device = self.make()
        server = stack.enter_context(Server(self.device, authorised))
        (folder / "known_hosts").write_text(server.known_host)
        self.target = Target(
            name="leaf1",
            platform=self.platform,
            address="127.0.0.1",
            port=server.port,
            user="deploy",
            key=str(folder / "key"),
            known_hosts=str(folder / "known_hosts"),
        )

    def make(self) -> Device:
        """The device."""
        raise NotImplementedError

    def middle(self) -> None:
        time.sleep(0.3)  # `slow` draws an apply out to more than that

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        self.device.pace = 0.02
        try:
            yield
        finally:
            self.device.pace = 0.0

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        self.device.full = True
        try:
            yield
        finally:
            self.device.full = False


class EosRig(FakeRig):
    """Arista EOS."""

    platform = "arista_eos"
    serial = fake_eos.SERIAL
    hostname = fake_eos.NAME
    neighbour = Neighbour(interface="Ethernet1", system=fake_eos.FAR[0], port=fake_eos.FAR[1])
    peer = BgpPeer(vrf="default", family="evpn", peer="Ethernet1", established=True, prefixes=12)
    handoff = BgpPeer(vrf="red", family="ipv6", peer="2001:db8::1", established=False)
    vni = Vni(vni=50001, kind="L3", up=True, vrf="red")
    port = Port(name="Ethernet2", enabled=False, up=False)
    routes = "red"
    device: fake_eos.Eos

    def make(self) -> Device:
        return fake_eos.Eos(second=self.second)

    def changed(self, running: str) -> str:
        return running.replace("description spine1", "description spine9").replace(
            "interface Ethernet2\n   shutdown\n", "interface Ethernet2\n   mtu 9214\n"
        )

    def broken(self, running: str) -> tuple[str, str]:
        return running.replace("router-id 10.0.0.1", "rooter-id 10.0.0.1"), "rooter-id 10.0.0.1"

    def half(self, running: str) -> str:
        line = "   vxlan vlan 10 vni 10010\n"
        return self.changed(running).replace(line, line + "   vxlan vlan 20 vni 10010\n")

    def startup(self) -> str:
        return self.device.startup

    def operator(self) -> contextlib.AbstractContextManager[None]:
        return at_a_terminal(self.target, None, ["configure session work"], "abort")


class NxosRig(FakeRig):
    """Cisco NX-OS."""

    platform = "cisco_nxos"
    serial = fake_nxos.SERIAL
    hostname = fake_nxos.NAME
    neighbour = Neighbour(interface="Ethernet1/1", system=fake_nxos.FAR[0], port=fake_nxos.FAR[1])
    peer = BgpPeer(vrf="default", family="evpn", peer="10.1.0.1", established=True, prefixes=12)
    handoff = BgpPeer(vrf="red", family="ipv6", peer="2001:db8::1", established=False)
    vni = Vni(vni=50001, kind="L3", up=True, vrf="red")
    port = Port(name="Ethernet1/2", enabled=False, up=False)
    routes = "red"
    device: fake_nxos.Nxos

    def make(self) -> Device:
        return fake_nxos.Nxos(second=self.second)

    def changed(self, running: str) -> str:
        return running.replace("description spine1", "description spine9").replace(
            "interface Ethernet1/2\n  shutdown\n", "interface Ethernet1/2\n  mtu 9216\n"
        )

    def broken(self, running: str) -> tuple[str, str]:
        return running.replace("router-id 10.0.0.1", "rooter-id 10.0.0.1"), "rooter-id 10.0.0.1"

    def half(self, running: str) -> str:
        line = "  vn-segment 10010\n"
        return self.changed(running).replace(line, f"{line}vlan 20\n{line}")

    def startup(self) -> str:
        return self.device.startup

    def operator(self) -> contextlib.AbstractContextManager[None]:
        return at_a_terminal(self.target, None, ["configure session work"], "abort")
