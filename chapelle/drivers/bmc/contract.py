"""How a BMC is reached, and what may go wrong with it."""

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.hardware import BootMode, BootSource, Family, Model


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who logs in to a BMC. It is never printed.

    `next` is a password that was about to become the one, and may be it.
    """

    user: str
    password: str
    next: str | None = None

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A BMC as it is reached.

    Arguments:
        host: the name of its server in NetBox.
        address: of the BMC, without prefix length.
        login: who logs in.
        authority: the file of the certificates that sign BMCs' certificates; no other is trusted.
        family: how it is spoken to.
        model: what is known of its server's model.
        name: what its certificate must name; the address if empty.
        namespace: the network namespace that our end is in, as a path; empty for the machine's.
        port: TCP port of HTTPS.
        patience: seconds that a BMC which does not answer, or says that it is busy, is asked again.
    """

    host: str
    address: str
    login: Login
    authority: str
    family: Family
    model: Model
    name: str = ""
    namespace: str = ""
    port: int = 443
    patience: float = 60.0


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What a server boots from next, `once` or until it is changed; no source: as always."""

    source: BootSource | None
    mode: BootMode | None = None
    once: bool = False


class BmcError(ChapelleError):
    """The BMC did not do what was asked; what the server is in now must be looked at."""


class UnreachableError(BmcError):
    """It does not answer, or only that it cannot now, for longer than it was waited for."""


class StrangerError(BmcError):
    """Who answers is not who was meant: its certificate, or it refuses our login."""


class UnsettledError(BmcError):
    """It took a request, and reads back something else."""
