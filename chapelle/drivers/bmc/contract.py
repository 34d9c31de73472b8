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
        fingerprint: SHA-256 of the one certificate that is trusted instead of the authority; hex.
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
    fingerprint: str = ""

    @property
    def bears(self) -> str:
        """What its certificate must name."""
        return self.name or self.address

    @property
    def where(self) -> str:
        """Which BMC, for errors."""
        return f"BMC of {self.host} at {self.address}"


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What a server boots from next, `once` or until it is changed; no source: as always."""

    source: BootSource | None
    mode: BootMode | None = None
    once: bool = False

    @property
    def words(self) -> str:
        """The same, for people."""
        if self.source is None:
            return "as always"
        mode = f" by {self.mode}" if self.mode else ""
        return f"{self.source}{mode}{', once' if self.once else ''}"


class BmcError(ChapelleError):
    """The BMC did not do what was asked; what the server is in now must be looked at."""


class UnreachableError(BmcError):
    """It does not answer, or only that it cannot now, for longer than it was waited for."""


class StrangerError(BmcError):
    """Who answers is not who was meant: its certificate, or it refuses our login."""


class UnsettledError(BmcError):
    """It took a request, and reads back something else."""


def senseless(target: Target, expected: str, found: str) -> BmcError:
    """The error that what a BMC says makes no sense."""
    return BmcError(
        f"The BMC of {target.host} cannot be understood.",
        where=target.where,
        expected=expected,
        found=found[:300],
        remedy="mend inventory/hardware-quirks.yml if the model is another than it says",
    )


def unsettled(target: Target, what: str, expected: str, found: str) -> UnsettledError:
    """The error that a BMC took something and reads back something else."""
    return UnsettledError(
        f"The BMC of {target.host} took {what}, and did not keep it.",
        where=target.where,
        expected=expected,
        found=found,
        remedy="try again; a BMC that forgets wants newer firmware",
    )
