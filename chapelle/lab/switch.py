"""What the installer of a switch leaves on it: FRRouting and LLDP that run, and who may log in.

A new switch has a management address, its ports up, and no routing. Where neither VLANs nor VXLAN
can be had, the ports that lead to servers are one plain bridge with a port to the hub (see
`chapelle.lab.spec`), so that servers are reached through their leaf. These files are in /usr/lib,
where a package would put them: what somebody configures in /etc comes before them, name by name.

Sources: FRRouting 8.4, "Basic Setup"; systemd.network(5); lldpcli(8); sshd_config(5);
lldpd's changes of version 1.0.18.
"""

from collections.abc import Iterable, Mapping

import msgspec

from chapelle.lab.spec import Node

DAEMONS = ("bgpd", "bfdd")
DAEMONS_FILE = "etc/frr/daemons"
OPERATOR = "operator"
OPERATOR_ID = 901
# Who may use the daemons' sockets, and who may read vtysh's own configuration.
VTYSH_GROUPS = ("frrvty", "frr")

_NETWORK = "usr/lib/systemd/network"
_WANTED = "etc/systemd/system/multi-user.target.wants"
_UNITS = "/usr/lib/systemd/system"
_HEADER = "# Written by the installer.\n"

PROFILE = "datacenter"

# lldpd before 1.0.18 loses what changes while it reads the links for the first time, and then takes
# a port for dead for good. It starts when no link has changed for a second, but not much later than
# the node.
_LLDP_QUIET = f"""{_HEADER}[Service]
ExecStartPre=-timeout 5 sh -c 'while timeout 1 ip monitor link | grep -q .; do :; done'
"""

# As a router: forward, spread over equal paths by ports too, and believe both ways of a link.
_SYSCTL = f"""{_HEADER}net.ipv4.ip_forward = 1
net.ipv4.fib_multipath_hash_policy = 1
net.ipv6.conf.all.forwarding = 1
net.ipv6.conf.default.forwarding = 1
"""

_SSHD = f"""{_HEADER}# A session whose link was cut ends soon, and with it the lock that it holds.
ClientAliveInterval 10
ClientAliveCountMax 3
# The same certificates let people in to vtysh.
Match User {OPERATOR}
  AuthorizedPrincipalsFile /etc/ssh/operator_principals
"""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the installer writes; `owner` is a user of the node, with its own group."""

    content: str | bytes
    mode: int = 0o644
    owner: str = "root"


def files(node: Node, accounts: Mapping[str, str], principal: str) -> dict[str, File]:
    """The files of a switch, by path without the leading slash.

    Arguments:
        node: the switch.
        accounts: the text of the image's `passwd`, `group` and `shadow`.
        principal: the name in users' certificates that lets them in.
    """
    configuration = f"frr defaults {PROFILE}\nhostname {node.name}\nlog syslog informational\n"
    return {
        "etc/chapelle/serial": File(content=f"{node.serial}\n"),
        DAEMONS_FILE: File(content=daemons(), mode=0o640, owner="frr"),
        "etc/frr/frr.conf": File(content=configuration, mode=0o640, owner="frr"),
        **lldp(node.name),
        "etc/sysctl.d/05-install.conf": File(content=_SYSCTL),
        "etc/ssh/sshd_config.d/06-switch.conf": File(content=_SSHD),
        "etc/ssh/operator_principals": File(content=f"{principal}\n"),
        **{f"etc/{name}": file for name, file in _accounts(accounts).items()},
        **{f"{_NETWORK}/{name}": File(content=text) for name, text in _networks(node).items()},
    }


def units() -> dict[str, str]:
    """The units that are enabled: the target of each link, by its path."""
    return dict(map(unit, ("frr.service", "lldpd.service")))


def unit(name: str) -> tuple[str, str]:
    """The link that enables a unit, and its target."""
    return f"{_WANTED}/{name}", f"{_UNITS}/{name}"


def lldp(name: str) -> dict[str, File]:
    """How lldpd starts, and tells who it is: by the node's name, and by those of its ports."""
    configuration = f"configure system hostname {name}\nconfigure lldp portidsubtype ifname\n"
    return {
        "etc/lldpd.d/05-install.conf": File(content=f"{_HEADER}{configuration}"),
        f"{_UNITS[1:]}/lldpd.service.d/05-install.conf": File(content=_LLDP_QUIET),
    }


def daemons() -> str:
    """Which of FRRouting's daemons run."""
    lines = [f"{name}=yes" for name in DAEMONS]
    lines.append("vtysh_enable=yes")
    lines += [f'{name}_options="-A 127.0.0.1"' for name in ("zebra", "staticd", *DAEMONS)]
    lines.append(f'frr_profile="{PROFILE}"')
    return _HEADER + "".join(f"{line}\n" for line in lines)


def _accounts(accounts: Mapping[str, str]) -> dict[str, File]:
    """The image's accounts, and an operator whose login shell is vtysh."""
    name, number = OPERATOR, OPERATOR_ID
    user = f"{name}:x:{number}:{number}:Operators of the network:/home/{name}:/usr/bin/vtysh\n"
    groups = []
    for line in accounts["group"].splitlines():
        fields = line.split(":")
        if fields[0] in VTYSH_GROUPS:
            fields[3] = ",".join([*filter(None, fields[3].split(",")), name, "deploy"])
        elif fields[0] == name:
            continue
        groups.append(":".join(fields))
    groups.append(f"{name}:x:{number}:")
    return {
        "passwd": File(content=accounts["passwd"] + user),
        "shadow": File(content=accounts["shadow"] + f"{name}:!:19000::::::\n", mode=0o640),
        "group": File(content="".join(f"{line}\n" for line in groups)),
    }


def _networks(node: Node) -> dict[str, str]:
    """How a switch's links are before anybody has configured them."""
    found = {
        "05-install.network": (
            f"{_HEADER}[Match]\nName={node.management_port}\n\n"
            f"[Network]\nAddress={node.address}\nGateway={node.gateway}\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        )
    }
    members: dict[str, list[str]] = {}
    for port in node.ports:
        if port.bridge:
            members.setdefault(port.bridge, []).append(port.name)
    for bridge, names in members.items():
        found[f"90-{bridge}.netdev"] = (
            f"{_HEADER}[NetDev]\nName={bridge}\nKind=bridge\n\n"
            "[Bridge]\nSTP=no\nForwardDelaySec=0\nMulticastSnooping=no\n"
        )
        found[f"90-{bridge}.network"] = _plain([bridge], "LinkLocalAddressing=no\n")
        found[f"90-{bridge}-ports.network"] = _plain(
            names, f"Bridge={bridge}\nLinkLocalAddressing=no\n"
        )
    others = [p.name for p in node.ports if not p.bridge and p.name != node.management_port]
    found["91-ports.network"] = _plain(others, "LinkLocalAddressing=ipv6\nIPv6AcceptRA=no\n")
    return found


def _plain(names: Iterable[str], network: str) -> str:
    return (
        f"{_HEADER}[Match]\nName={' '.join(names)}\n\n"
        f"[Link]\nRequiredForOnline=no\n\n[Network]\n{network}"
    )
