"""A node with a kernel of its own: User-mode Linux, a plain process on the node's layer.

Its root is the same overlay over the same image that a container has; the kernel reads it through
hostfs. A cable between two such nodes is an L2TPv3 tunnel over the hub's loopback interface, which
carries every frame (LACP, LLDP, VLAN tags, any size) and asks nothing of whoever else is there: a
node that joins or comes back finds its cables as they were. A raw socket on a veth pair would lose
VLAN tags, and the kernel gives such a port up for good when the pair goes. Towards the hub a port
is a tap device in one of the hub's bridges.

Sources: Linux, Documentation/virt/uml/user_mode_linux_howto_v2.rst; RFC 3931 (L2TPv3).
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from chapelle.errors import ChapelleError, InputError
from chapelle.lab import cgroup, wires
from chapelle.lab.ports import End, Port
from chapelle.lab.spec import Node
from chapelle.lab.switch import File

PROGRAM = "linux.uml"
PACKAGE = "user-mode-linux"
MODULES = Path("/usr/lib/uml/modules")

# What FRRouting, sshd, and a reload of the configuration need together, as measured, and a third.
MEMORY_MB = 256

# Linux, arch/um/include/uapi/asm/setup.h (the architecture's own default).
COMMAND_LINE_SIZE = 4096

INIT = "usr/sbin/chapelle-init"


def files(node: Node) -> dict[str, File]:
    """What the installer adds on a node with its own kernel, by path."""
    return {INIT: File(content=_init(node), mode=0o755)}


def _init(node: Node) -> str:
    """The first program: makes ports of what the kernel has, with NetBox's names and addresses.

    A vector device tells neither speed nor duplex, without which there is no LACP (IEEE 802.1AX),
    and its MTU cannot be raised. So a port is one end of a veth pair; the other end is tied to the
    vector device frame by frame, in a network namespace where nobody sees either.

    Without udev, systemd-networkd has to see that nobody will tell it more of a link than the
    kernel does: a file system /sys that cannot be written is the sign for that.
    """
    links: list[str] = []
    ties: list[str] = []
    ups: list[str] = []
    for number, port in enumerate(_plugged(node)):
        mac = port.mac or _mac(End(node=node.name, port=port.name))
        if port.far is None:
            links.append(f"link set vec{number} address {mac} name {port.name}")
            continue
        mtu = port.mtu or wires.HUB_MTU
        links += [
            f"link set vec{number} netns $hidden",
            f"link add {port.name} address {mac} mtu {mtu} type veth"
            f" peer name port{number} mtu {wires.HUB_MTU} netns $hidden",
        ]
        ties += _tie(f"vec{number}", f"port{number}") + _tie(f"port{number}", f"vec{number}")
        ups += [f"link set {name}{number} up" for name in ("vec", "port")]
    for port in node.ports:
        if port.far is None and port.dark:
            links += [f"link add {port.name} type dummy", f"link set {port.name} carrier off"]
    return f"""#!/bin/sh
# Written by the installer.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs -o ro sysfs /sys
# hostfs makes the machine's root the owner of every new file, who alone may take it out of /tmp.
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
unshare --net sleep infinity &
hidden=$!
while [ "$(readlink /proc/$hidden/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip -batch - <<END
{_lines(links)}END
nsenter --target $hidden --net tc -batch - <<END
{_lines(ties)}END
nsenter --target $hidden --net ip -batch - <<END
{_lines(ups)}END
exec /sbin/init
"""


def _tie(one: str, other: str) -> list[str]:
    """Whatever arrives at one device leaves by the other (tc-mirred(8))."""
    return [
        f"qdisc add dev {one} clsact",
        f"filter add dev {one} ingress matchall action mirred egress redirect dev {other}",
    ]


def _lines(items: list[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _plugged(node: Node) -> list[Port]:
    """The ports that lead somewhere, in the order of the kernel's devices."""
    return [port for port in node.ports if port.far is not None or not port.dark]


def arguments(node: Node, home: Path) -> list[str]:
    """The kernel's command line.

    Raises:
        InputError: it would be too long.
    """
    devices = []
    for number, port in enumerate(_plugged(node)):
        end = End(node=node.name, port=port.name)
        if port.far is not None:
            (here, here_port), (there, there_port) = map(wires.tunnel_end, (end, port.far))
            options = [
                "transport=l2tpv3", "udp=1", f"src={here}", f"srcport={here_port}",
                f"dst={there}", f"dstport={there_port}", "rx_session=1", "tx_session=1",
                f"mtu={wires.HUB_MTU}",
            ]  # fmt: skip
        else:
            options = ["transport=tap", f"ifname={wires.port_name(node.name, port.name)}"]
            options += [f"mtu={wires.HUB_MTU}"] if port.bridge else []
        devices.append(f"vec{number}:{','.join(options)}")
    found = [
        PROGRAM, f"mem={MEMORY_MB}M", f"uml_dir={home}/", f"umid={node.name}",
        "root=/dev/root", "rootfstype=hostfs", f"rootflags={home}/root", "rw", f"init=/{INIT}",
        "con=null", "con0=null,fd:1", "quiet", "selinux=0", "panic=-1",
        *devices,
    ]  # fmt: skip
    if len(" ".join(found)) >= COMMAND_LINE_SIZE:
        raise InputError(
            "A node with a kernel of its own has too many cables.",
            where=f"node {node.name}",
            expected=f"a command line of less than {COMMAND_LINE_SIZE} characters",
            found=f"{len(devices)} ports that lead somewhere",
            remedy="take fewer servers into the lab, or containers: --kind=nspawn",
        )
    return found


def _mac(end: End) -> str:
    """The address of a port of which NetBox knows none: always the same for the same port."""
    address, number = wires.tunnel_end(end)
    digits = [2, *(int(part) for part in address.split(".")), number % 256]
    return ":".join(f"{digit:02x}" for digit in digits)


def launch(node: Node, home: Path, network: int, groups: cgroup.Tree) -> subprocess.Popen[bytes]:
    """Start a node; it goes on when we end. Arguments as of `chapelle.lab.node.launch`.

    Raises:
        ChapelleError: it cannot be started.
    """
    modules = home / "layer" / "usr/lib/modules"
    modules.mkdir(parents=True, exist_ok=True)
    enter_group = groups.entering(node.name)

    def enter() -> None:
        enter_group()
        os.setns(network, os.CLONE_NEWNET)
        os.unshare(os.CLONE_NEWNS)
        wires.mount("none", "/", None, wires.MS_REC | wires.MS_SLAVE)
        wires.mount("overlay", "root", "overlay", 0, "lowerdir=image,upperdir=layer,workdir=work")
        wires.mount(str(MODULES), "root/usr/lib/modules", None, wires.MS_BIND)

    console = os.open(home / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            arguments(node, home),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd=home,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home)},
            start_new_session=True,
            preexec_fn=enter,  # noqa: PLW1509  (no other thread of ours runs)
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ChapelleError(
            "A node cannot be started.",
            where=f"node {node.name}",
            expected=f"{PROGRAM} to start on an overlay of its own",
            found=str(error),
            remedy="does the kernel have overlayfs?",
        ) from error
    finally:
        os.close(console)


def missing() -> Mapping[str, str]:
    """What a full kernel needs and the machine lacks: program and the package that brings it."""
    return {} if shutil.which(PROGRAM) and MODULES.is_dir() else {PROGRAM: PACKAGE}
