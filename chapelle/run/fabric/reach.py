"""How switches are reached: in the lab's namespace, or as the site's SSH configuration says."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from chapelle import lab, lazy
from chapelle.drivers.switch.contract import Target
from chapelle.errors import InputError
from chapelle.lab import ca
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.settings import Settings

if TYPE_CHECKING:
    import paramiko
else:
    paramiko = lazy.library("paramiko")

# Who configures switches, unless the site's SSH configuration says otherwise.
USER = "deploy"

# Sessions that one core carries at a time: past eight logins begin to fail (measured).
SESSIONS_OF_A_CORE = 8
DEFAULT_FORKS = 4


def most_forks() -> int:
    """How many switches may be worked on at one time."""
    return SESSIONS_OF_A_CORE * (os.cpu_count() or 1)


def target(settings: Settings, dc: Datacentre, device: r.Device) -> Target:
    """How a switch is reached.

    Raises:
        InputError: NetBox says no address or no platform of it.
    """
    address = dc.primary_ip4(device)
    platform = dc.platforms.get(device.platform or 0)
    name = device.name or ""
    if address is None or platform is None:
        raise InputError(
            f"{name} cannot be reached.",
            where=f"device {name} in NetBox",
            expected="a primary IPv4 address and a platform",
            found="no address" if address is None else "no platform",
            remedy="enter it in NetBox",
        )
    ip = address.address.partition("/")[0]
    if settings.target == "lab":
        home = ca.folder(settings)
        return Target(
            name=name,
            platform=platform.slug,
            address=ip,
            user=USER,
            key=str(home / "id_ed25519"),
            known_hosts=str(home / ca.SWITCH_KEYS),
            namespace=str(ca.namespace_path(settings)),
        )
    return _at_site(settings, name, platform.slug, ip)


def _at_site(settings: Settings, name: str, platform: str, ip: str) -> Target:
    """By OpenSSH's client configuration: host name, port, user, key, and file of known hosts."""
    path = settings.ssh_config or Path("~/.ssh/config").expanduser()
    config = paramiko.SSHConfig.from_path(str(path)) if path.is_file() else paramiko.SSHConfig()
    said = config.lookup(name)
    keys = said.get("identityfile", ["~/.ssh/id_ed25519"])
    known = said.get("userknownhostsfile", "~/.ssh/known_hosts").split()[0]
    address = said.get("hostname", name)
    return Target(
        name=name,
        platform=platform,
        address=ip if address == name else address,
        user=said.get("user", USER),
        key=str(Path(keys[0]).expanduser()),
        known_hosts=str(Path(known).expanduser()),
        port=int(said.get("port", 22)),
    )


def has_links(settings: Settings, name: str) -> bool:
    """Whether the switch's data plane is its own; a container of the lab has a plain bridge."""
    if settings.target != "lab":
        return True
    known = lab.read(settings)
    host = known.hosts.get(name) if known else None
    return host is not None and host.node.kind == "uml"
