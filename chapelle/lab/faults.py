"""Bad weather on demand: what befalls real servers, done to one node.

Each function names a host of this state's running lab. A node is looked after from outside, by
entering its namespaces, so that it works while ssh, the network or the disk of the node does not.
"""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chapelle.errors import ChapelleError
from chapelle.lab import ca, cgroup, node, notes, wires
from chapelle.lab.ports import End
from chapelle.lab.spec import Node
from chapelle.settings import Settings

# Where roles write. A layer that has no room left is laid over each.
WRITTEN = ("/etc", "/home", "/root", "/tmp", "/usr", "/var")  # noqa: S108  (in the node)


def kill(settings: Settings, host: str) -> None:
    """Cut the power: everything that runs on the node ends now; its disk stays."""
    _known(settings, host)
    cgroup.Tree(settings).kill([host])


@contextmanager
def frozen(settings: Settings, host: str) -> Iterator[None]:
    """While this lasts the node hangs: its kernel accepts connections, and nobody answers.

    Raises:
        ChapelleError: the node is down.
    """
    _known(settings, host)
    tree = cgroup.Tree(settings)
    tree.freeze(host, frozen=True)
    try:
        yield
    finally:
        tree.freeze(host, frozen=False)


def run(settings: Settings, host: str, command: str) -> str:
    """Run a shell command on the node as root; returns what it prints.

    A node with a kernel of its own has to be logged in to.

    Raises:
        ChapelleError: the node is down, or the command fails.
    """
    running = cgroup.Tree(settings).running()
    full = _known(settings, host).kind == "uml"
    if not running.get(host, 0) and not (full and host in running):
        raise ChapelleError(f"Node {host} is down.", remedy="invoke lab.up")
    if full:
        shell = f"sudo /bin/sh -euc {shlex.quote(command)}"
        enter = [str(ca.folder(settings) / "ssh"), host, shell]
    else:
        enter = ["nsenter", f"--target={running[host]}", "--all", "--", "/bin/sh", "-euc", command]
    result = subprocess.run(
        enter,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ChapelleError(
            f"A command failed on node {host}.",
            where=command,
            expected="exit status 0",
            found=f"exit status {result.returncode}: {result.stderr.strip()}",
        )
    return result.stdout


def fill_disk(settings: Settings, host: str) -> None:
    """Leave no room on the node's disk: whoever writes a file gets ENOSPC. Reading goes on."""
    layers = "; ".join(
        f"mkdir -p $full/up{place} $full/work{place}; "
        f"chown --reference={place} $full/up{place}; chmod --reference={place} $full/up{place}; "
        f"mount -t overlay overlay -o lowerdir={place},upperdir=$full/up{place},"
        f"workdir=$full/work{place} {place}"
        for place in WRITTEN
    )
    filling = "dd if=/dev/zero of=$full/ballast bs=4k 2>/dev/null || true"
    tmpfs = "mount -t tmpfs -o size=256k,nr_inodes=64 tmpfs $full"
    run(settings, host, f"full=/run/full; mkdir -p $full; {tmpfs}; {layers}; {filling}")


def free_disk(settings: Settings, host: str) -> None:
    """Undo `fill_disk`."""
    places = " ".join(WRITTEN)
    run(settings, host, f"umount --lazy {places} /run/full; rmdir /run/full")


def replace_host_key(settings: Settings, host: str) -> None:
    """Give the node a host key that nobody has signed, as a stranger at its address would have."""
    path = "/etc/ssh/ssh_host_ed25519_key"
    run(
        settings,
        host,
        f"rm -f {path} {path}.pub {path}-cert.pub; ssh-keygen -q -t ed25519 -N '' -f {path}; "
        "for file in /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf; do "
        "if [ -e $file ]; then sed -i 's/^HostCertificate/#HostCertificate/' $file; fi; done; "
        "systemctl restart ssh.service",
    )


def unplug(settings: Settings, host: str, port: str | None = None) -> None:
    """Pull the cable of one port of the node, or all of them: its ports lose their carrier."""
    _cables(settings, host, port, plugged=False)


def plug(settings: Settings, host: str, port: str | None = None) -> None:
    """Plug the cable of one port of the node, or all of them, in again."""
    _cables(settings, host, port, plugged=True)


def _cables(settings: Settings, host: str, port: str | None, *, plugged: bool) -> None:
    """The far end of each cable is set down or up: the node's own end is as the node left it.

    Between full kernels frames are lost both ways; neither sees its carrier go.

    Raises:
        ChapelleError: the node has no such port, or the node at the far end is down.
    """
    each = _known(settings, host)
    lab = notes.read(settings)
    ends = [end for c in lab.cables for end in ((c.a, c.b), (c.b, c.a))] if lab else []
    far = {near.port: other for near, other in ends if near.node == host}
    ports = [own.name for own in each.ports if port in {None, own.name}]
    if not ports:
        raise ChapelleError(f"Node {host} has no port {port}.", where="lab.json")
    with wires.Hub(ca.namespace_path(settings)) as hub:
        for name in ports:
            other = far.get(name)
            if other is None:
                hub.set_link(wires.port_name(host, name), up=plugged)
            elif each.kind == "uml":
                for end in (End(node=host, port=name), other):
                    hub.set_tunnel(end, up=plugged)
            else:
                run(settings, other.node, f"ip link set {other.port} {'up' if plugged else 'down'}")


def _known(settings: Settings, host: str) -> Node:
    known = notes.read(settings)
    if known is None or host not in known.hosts:
        raise ChapelleError(f"The lab has no node {host}.", remedy="invoke lab.up")
    return known.hosts[host].node


def disk(settings: Settings, host: str) -> Path:
    """Where the node's own layer is: what differs from the image, by path."""
    return node.folder(settings) / host / "layer"
