"""Where bare metal is brought up from: the boot service's place, authorities, and recipients.

The lab has all of it beside its nodes. A site says it in the file that CHAPELLE_DEPLOY names.
"""

import ipaddress
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec

from chapelle import lab, strict
from chapelle.drivers.boot import Place
from chapelle.errors import InputError
from chapelle.lab import ca, tang, wires
from chapelle.settings import Settings
from chapelle.strict.problems import ProblemsError

VARIABLE = "CHAPELLE_DEPLOY"

_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Recipient = Annotated[str, msgspec.Meta(pattern=r"^age1[a-z0-9]{58}$")]


class BootPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the boot service answers: our address, our links, and the prefixes that are served."""

    address: str
    interfaces: tuple[str, ...]
    networks: tuple[str, ...]
    http_port: _Port = 8080
    https_port: _Port = 8443


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The file that CHAPELLE_DEPLOY names.

    Arguments:
        boot: where the boot service answers.
        authorities: the directory of `ca_host`, which signs host keys, and of `ca_user.pub`.
        recipients: the operators' age keys, for which secrets are kept.
        identity: the file of an age identity, with which kept secrets are opened.
    """

    boot: BootPlace
    authorities: str
    recipients: tuple[_Recipient, ...]
    identity: str = ""


def read(settings: Settings) -> Site | None:
    """What a site says; None if it says nothing.

    Raises:
        InputError: the file has mistakes.
    """
    if settings.deploy is None:
        return None
    found, problems = strict.read(settings.deploy, Site)
    if not problems and not found.recipients:
        raise InputError(
            "Nobody could open what is kept.",
            where=f"{settings.deploy}, recipients",
            expected="the age keys of operators, one at least",
            found="none",
        )
    if problems:
        raise ProblemsError("Where servers are brought up from", problems, "docs/bare-metal.md")
    site: Site = found
    return site


def machines(settings: Settings) -> frozenset[str]:
    """The lab's nodes that have firmware and disks."""
    known = lab.read(settings) if settings.target == "lab" else None
    hosts = known.hosts.items() if known else ()
    return frozenset(name for name, host in hosts if host.node.machine is not None)


def signer(settings: Settings) -> ca.HostSigner:
    """Who signs the keys of hosts.

    Raises:
        InputError: its key is not there.
    """
    if settings.target == "lab":
        ca.ensure(settings)
        return ca.HostSigner(ca.folder(settings))
    site = require(settings)
    home = Path(site.authorities)
    for name in ("ca_host", "ca_user.pub"):
        if not (home / name).is_file():
            raise InputError(
                "Nobody can sign the keys of hosts.",
                where=f"{settings.deploy}, authorities",
                expected=f"a directory with the file {name}",
                found=str(home / name),
                remedy="docs/bare-metal.md says what is in it",
            )
    return ca.HostSigner(home)


def require(settings: Settings) -> Site:
    """What a site says.

    Raises:
        InputError: it says nothing.
    """
    if (site := read(settings)) is not None:
        return site
    raise InputError(
        "It is not said where servers are brought up from.",
        where=f"environment variable {VARIABLE}",
        expected="a file with the boot service's address, and the operators' keys",
        found="not set",
        remedy="docs/bare-metal.md says what is in it",
    )


def place(settings: Settings, hosts: Collection[str]) -> Place:
    """Where the boot service works for these hosts.

    Raises:
        InputError: nobody said.
    """
    run = Path(f"/run/chap-{settings.instance}.boot")
    if settings.target != "lab":
        boot = require(settings).boot
        return Place(
            run=run,
            address=boot.address,
            networks=boot.networks,
            interfaces=boot.interfaces,
            http_port=boot.http_port,
            https_port=boot.https_port,
        )
    known = lab.read(settings)
    nodes = known.hosts if known else {}
    networks = sorted({nodes[name].node.network for name in hosts})
    return Place(
        run=run,
        address=str(networks[0].network_address + 1),
        networks=tuple(map(str, networks)),
        interfaces=tuple(wires.bridge_name(network) for network in networks),
        namespace=ca.namespace_path(settings),
    )


def thumbprints(
    settings: Settings, said: dict[str, str], addresses: Collection[str]
) -> dict[str, str]:
    """The thumbprint of each Tang server's signing key, by address.

    Arguments:
        settings: this installation.
        said: those of a site.
        addresses: of the servers; the lab knows its own.
    """
    if settings.target != "lab":
        return dict(said)
    found = {}
    for address in addresses:
        if known := tang.thumbprints(settings, address):
            found[str(ipaddress.IPv4Interface(address).ip)] = known[0]
    return found
