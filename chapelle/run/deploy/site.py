"""Who vouches for bare metal, and for whom its secrets are kept: authorities and recipients.

The lab has all of it beside its nodes. A site says it in the file that CHAPELLE_DEPLOY names.
"""

import ipaddress
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec

from chapelle import lab, strict
from chapelle.errors import InputError
from chapelle.lab import ca, tang
from chapelle.settings import Settings
from chapelle.strict.problems import ProblemsError

VARIABLE = "CHAPELLE_DEPLOY"

_Recipient = Annotated[str, msgspec.Meta(pattern=r"^age1[a-z0-9]{58}$")]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The file that CHAPELLE_DEPLOY names.

    Arguments:
        authorities: the directory of `ca_host`, which signs host keys, and of `ca_user.pub`.
        recipients: the operators' age keys, for which secrets are kept.
        identity: the file of an age identity, with which kept secrets are opened.
    """

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
        raise ProblemsError("The file for bare metal", problems, "docs/bare-metal.md")
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
        "It is not said who vouches for servers that are brought up.",
        where=f"environment variable {VARIABLE}",
        expected="a file that names the SSH authorities, and the operators' keys",
        found="not set",
        remedy="docs/bare-metal.md says what is in it",
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
