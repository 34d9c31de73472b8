"""The conformance suite's FRR switch: a real one, brought back to its first configuration."""

import contextlib
import socket
import time
from collections.abc import Iterator

from frr_node import SERIAL, Node
from switch_rig import Rig, at_a_terminal

from chapelle.drivers.switch import wire
from chapelle.lab import wires
from chapelle.model.switch import BgpPeer, Neighbour, Port, Vni

FAR = Neighbour(interface="swp1", system="spine1", port="swp7")


class FrrRig(Rig):
    """Debian with its FRR, systemd and sshd, in a container."""

    serial = SERIAL
    hostname = "leaf1"
    neighbour = FAR
    peer = BgpPeer(vrf="default", family="evpn", peer="swp1", established=False)
    vni = Vni(vni=10010, kind="L2", up=True, vrf="default")
    port = Port(name="swp1", enabled=True, up=True)

    def __init__(self, node: Node) -> None:
        self.node = node
        self.target = node.target
        node.run(
            "ip link set swp1 up; ip link add br10 up type bridge;"
            "ip link add vni10 up master br10 type vxlan id 10010 dstport 4789 local 10.0.0.1"
        )
        # What fires has to leave a slow machine the time to apply something before.
        began = time.monotonic()
        node.run("/usr/lib/frr/frr-reload.py --test /etc/frr/frr.conf >/dev/null 2>&1")
        self.seconds = max(5, round(8 * (time.monotonic() - began)))

    def reset(self) -> None:
        """Bring it back to its first configuration, whatever a test has made of it."""
        self.node.run(
            "systemctl stop chapelle-revert.timer chapelle-revert.service chapelle-apply.service"
            " 2>/dev/null || :; cd /var/lib/chapelle 2>/dev/null && rm -rf checkpoints/* links-*;"
            "rm -rf /run/chapelle;"
            "rm -f /etc/systemd/network/20-chapelle-* /etc/sysctl.d/20-chapelle-*;"
            "ip link delete br9 2>/dev/null || :; ip address flush dev swp2 scope global;"
            "systemctl reset-failed; systemctl start frr"
        )
        if self.node.run("vtysh -c 'show running-config no-header'") != self.node.first:
            reload = "/usr/lib/frr/frr-reload.py"
            self.node.run(
                f"cat >/tmp/first.conf <<'END'\n{self.node.first}END\n"
                f"{reload} --reload --confdir /etc/frr /tmp/first.conf >/dev/null 2>&1 || :"
            )
        self.node.run(f"cat >/etc/frr/frr.conf <<'END'\n{self.node.first}END\n")
        self.announce()

    def announce(self) -> None:
        """Send what spine1 would say over LLDP (IEEE 802.1AB, section 9), from the far end."""
        texts = [
            (1, b"\x04\x02\x00\x00\x00\x00\x00\x01"),  # chassis, by MAC address
            (2, b"\x05" + FAR.port.encode()),  # port, by interface name
            (3, (120).to_bytes(2)),  # seconds to live
            (5, FAR.system.encode()),  # system name
            (0, b""),
        ]
        units = b"".join((kind << 9 | len(value)).to_bytes(2) + value for kind, value in texts)
        frame = bytes.fromhex("0180c200000e 020000000001 88cc") + units
        with wire.inside(self.target.namespace):
            port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with port:
            port.bind((wires.port_name(self.hostname, FAR.interface), 0))
            port.send(frame.ljust(60, b"\0"))
        time.sleep(0.1)

    def changed(self, running: str) -> str:
        return running.replace("description spine1", "description spine9").replace(
            " neighbor FABRIC remote-as external\n",
            " neighbor FABRIC remote-as external\n neighbor FABRIC bfd\n",
        )

    def broken(self, running: str) -> tuple[str, str]:
        line = "bgp rooter-id 10.0.0.1"
        return running.replace("bgp router-id 10.0.0.1", line), line

    def half(self, running: str) -> str:
        return self.changed(running).replace(
            "  advertise-all-vni\n", "  advertise-all-vni\n  neighbor 192.0.2.77 activate\n"
        )

    def startup(self) -> str:
        return self.node.run("cat /etc/frr/frr.conf").removesuffix("end\n") + "end\n"

    def middle(self) -> None:
        at_work = "systemctl -q is-active chapelle-apply.service chapelle-revert-now.service"
        self.node.run(f"for _ in $(seq 200); do {at_work} && exit; sleep 0.05; done; exit 1")

    def operator(self) -> contextlib.AbstractContextManager[None]:
        lines = ["sudo vtysh", "configure terminal", "interface swp2"]
        return at_a_terminal(self.target, wire.connect(self.target), lines)

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        self.node.run(
            "cp -a /etc/frr /run/frr-kept; mount -t tmpfs -o size=64k,mode=755 tmpfs /etc/frr;"
            "cp -a /run/frr-kept/. /etc/frr/; cat /dev/zero >/etc/frr/filler 2>/dev/null || :"
        )
        try:
            yield
        finally:
            self.node.run("umount /etc/frr; rm -rf /run/frr-kept")
