"""One node: a system container on a layer of its own, and what can be done to it.

systemd-nspawn runs it. The layer is mounted in a mount namespace that only the container has, so
the machine's own table of mounts stays as it is, and whatever ends the process ends the mount.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from chapelle.errors import ChapelleError
from chapelle.lab import ca, cgroup, edge, files, switch, uml, wires
from chapelle.lab.ca import HostSigner
from chapelle.lab.spec import Node
from chapelle.lab.switch import File
from chapelle.settings import Settings

# Starts a node again when it restarts itself.
KEEPER = Path(__file__).with_name("keep.sh")

# The whole of nspawn's bounding set is more than a server needs; the network must be its own.
CAPABILITIES = "CAP_NET_ADMIN,CAP_NET_RAW"


def folder(settings: Settings) -> Path:
    """Where the nodes' layers and consoles are."""
    return settings.state / "lab" / "nodes"


def machine_name(settings: Settings, host: str) -> str:
    """The node's name among all containers of the machine."""
    return f"chap-{settings.instance}-{host}"


def prepare(settings: Settings, node: Node, image: Path, signer: HostSigner) -> None:
    """Make a node's layer with what an installer leaves: identity, network, keys.

    A layer that is there is kept: it is the node's disk. Without the image that it was made for it
    is worth nothing.
    """
    home = folder(settings) / node.name
    if (home / "installed").exists() and (home / "image").exists():
        if node.kind == "uml":
            _write_all(home / "layer", uml.files(node), image, {"root": (0, 0)})
        return
    shutil.rmtree(home, ignore_errors=True)
    for part in ("layer", "work", "root"):
        (home / part).mkdir(parents=True, mode=0o755)
    (home / "image").symlink_to(image)
    installed = dict(installed_files(settings, node, signer))
    accounts = {name: (image / "etc" / name).read_text() for name in ("passwd", "group", "shadow")}
    if node.is_switch:
        installed |= switch.files(node, accounts, ca.PRINCIPAL)
    if node.handoff is not None:
        installed |= edge.files(node)
    if node.kind == "uml":
        installed |= uml.files(node)
    owners = _owners([accounts["passwd"], *_texts(installed, "etc/passwd")])
    _write_all(home / "layer", installed, image, owners)
    if node.is_switch:
        _enable(home / "layer", switch.units())
        _make_home(home / "layer", owners)
    if node.handoff is not None:
        _enable(home / "layer", edge.units(node))
    files.write(home / "installed", "")


def _write_all(
    layer: Path,
    installed: Mapping[str, File],
    image: Path,
    owners: Mapping[str, tuple[int, int]],
) -> None:
    for name, file in installed.items():
        path = layer / name
        _make_directories(layer, path.parent, image)
        files.write(path, file.content, file.mode)
        _own(path, image / name, owners[file.owner])


def _texts(installed: Mapping[str, File], name: str) -> list[str]:
    return [str(installed[name].content)] if name in installed else []


def _owners(texts: Iterable[str]) -> dict[str, tuple[int, int]]:
    """User and group id of each account in files as passwd(5) describes them."""
    lines = [line.split(":") for text in texts for line in text.splitlines()]
    return {fields[0]: (int(fields[2]), int(fields[3])) for fields in lines}


def _make_directories(layer: Path, wanted: Path, image: Path) -> None:
    """Make a directory of a layer; what the image has beneath it keeps its owner and mode."""
    for path in [*reversed(wanted.parents), wanted]:
        if path.is_relative_to(layer) and not path.exists():
            path.mkdir(mode=0o755)
            beneath = image / path.relative_to(layer)
            if beneath.is_dir():
                shutil.copystat(beneath, path)
                os.chown(path, beneath.stat().st_uid, beneath.stat().st_gid)


def _own(path: Path, beneath: Path, owner: tuple[int, int]) -> None:
    """Give a file the owner that it hides in the image, or `owner`."""
    if beneath.exists():
        owner = (beneath.stat().st_uid, beneath.stat().st_gid)
    os.chown(path, *owner)


def _enable(layer: Path, units: Mapping[str, str]) -> None:
    for name, target in units.items():
        path = layer / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        path.symlink_to(target)


def _make_home(layer: Path, owners: Mapping[str, tuple[int, int]]) -> None:
    home = layer / "home" / switch.OPERATOR
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    os.chown(home, *owners[switch.OPERATOR])


def public_host_key(settings: Settings, host: str) -> str:
    """The host key that the installer gave a node, as `type base64`; empty before it did."""
    path = folder(settings) / host / "layer/etc/ssh/ssh_host_ed25519_key.pub"
    try:
        return " ".join(path.read_text().split()[:2])
    except OSError:
        return ""


def installed_files(settings: Settings, node: Node, signer: HostSigner) -> Mapping[str, File]:
    """What the installer writes on every node, by path."""
    key = signer.new([node.name, node.fqdn, node.ip])
    network = (
        "# Written by the installer.\n"
        f"[Match]\nName={node.management_port}\n\n"
        f"[Network]\nAddress={node.address}\nGateway={node.gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )
    identity = uuid.uuid5(uuid.NAMESPACE_OID, machine_name(settings, node.name))
    names = " ".join(dict.fromkeys([node.fqdn, node.name]))
    found = {
        "etc/hostname": File(content=f"{node.name}\n"),
        "etc/hosts": File(content=f"127.0.0.1 localhost\n{node.ip} {names}\n"),
        "etc/machine-id": File(content=f"{identity.hex}\n", mode=0o444),
        "etc/ssh/user_ca.pub": File(content=signer.user_authority),
        "etc/ssh/ssh_host_ed25519_key": File(content=key.private, mode=0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": File(content=key.public),
        "etc/ssh/ssh_host_ed25519_key-cert.pub": File(content=key.certificate),
    }
    if not node.is_switch:
        found["etc/systemd/network/05-install.network"] = File(content=network)
    return found


def launch(
    settings: Settings, node: Node, network: int, groups: cgroup.Tree, notify: Path
) -> subprocess.Popen[bytes]:
    """Start a node; it goes on when we end, and through restarts of its own.

    Arguments:
        settings: whose lab.
        node: which node; it has been prepared.
        network: a descriptor of its network namespace.
        groups: where its control group is to be.
        notify: the socket that is told when it has booted (sd_notify(3)).

    Returns:
        Its supervisor.
    """
    home = folder(settings) / node.name
    command = [
        "/bin/sh", str(KEEPER), str(groups.bases[0] / node.name),
        "systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit",
        f"--machine={machine_name(settings, node.name)}", f"--directory={home}/root",
        f"--hostname={node.name}", "--network-namespace-path=/proc/self/ns/net",
        f"--capability={CAPABILITIES}", "--resolv-conf=off", "--timezone=off",
        "--link-journal=no", "--suppress-sync=yes", "--console=read-only",
        "--notify-ready=yes",
        # Filters of system calls are a tenth of the boot, and what they guard is not what we test.
        "--setenv=SYSTEMD_SECCOMP=0", "--boot",
    ]  # fmt: skip
    # systemd in the container wants the unified hierarchy, whatever the machine has beside it, and
    # the sysctls of its own network namespace.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        "NOTIFY_SOCKET": str(notify),
    }
    enter_group = groups.entering(node.name)
    hubs = ca.all_namespaces()

    def enter() -> None:
        enter_group()
        os.setns(network, os.CLONE_NEWNET)
        wires.own_mounts(hubs)
        # Relative paths: a colon or a comma in the state's path would mean something to overlayfs.
        options = "lowerdir=image,upperdir=layer,workdir=work"
        wires.mount("overlay", "root", "overlay", 0, options)

    console = os.open(home / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd=home,
            env=environment,
            start_new_session=True,
            preexec_fn=enter,  # noqa: PLW1509  (no other thread of ours runs)
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ChapelleError(
            "A node cannot be started.",
            where=f"node {node.name}",
            expected="systemd-nspawn to start on an overlay of its own",
            found=str(error),
            remedy="does the kernel have overlayfs? is systemd-container installed?",
        ) from error
    finally:
        os.close(console)


def console_tail(settings: Settings, host: str, lines: int = 3) -> str:
    """The last lines that a node said on its console."""
    try:
        text = (folder(settings) / host / "console.log").read_text(errors="replace")
    except OSError:
        return "(no console)"
    said = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return " / ".join(said[-lines:]) or "(the console is empty)"
