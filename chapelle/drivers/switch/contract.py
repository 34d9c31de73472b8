"""What every platform of a switch must be able to do, so that a run need not know which it is.

The order in which a run calls it is the transaction:

    identify -> running -> check -> diff -> checkpoint -> arm -> apply -> running again
             -> (a second session: identify, facts) -> confirm -> persist

Up to `arm` nothing on the device has changed. From `apply` to `confirm` the device goes back to the
checkpoint by itself, with or without us. `persist` is what a restart of the device keeps. Some
devices arm with the change and not before it: there `arm` is only noted by the session that is to
apply, and `pending` finds it from `apply` on. Whoever dies in between leaves the old configuration
either way.

A driver holds one session and keeps nothing else: whatever must survive the controller is on the
device, and `pending` finds it there.
"""

from types import TracebackType
from typing import Protocol, Self

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.switch import Facts, Identity


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A switch as it is reached.

    Arguments:
        name: its name in NetBox.
        platform: the slug of its platform in NetBox.
        address: where its SSH server listens, without prefix length.
        user: who logs in; `key` is the file of the private key (a certificate may lie beside it).
        known_hosts: an OpenSSH file with the host's key itself; a host that is not in it is not
            talked to. An authority for host keys (`@cert-authority`) is not understood.
        namespace: the network namespace that our end is in, as a path or as `ip netns` names it;
            or empty for the machine's own.
        port: TCP port.
        timeout: seconds to connect and log in.
    """

    name: str
    platform: str
    address: str
    user: str
    key: str
    known_hosts: str
    namespace: str = ""
    port: int = 22
    timeout: float = 20.0


class SwitchError(ChapelleError):
    """The switch did not do what was asked; what it is in now must be looked at."""


class UnreachableError(SwitchError):
    """No session: no route, no answer in time, the connection was lost."""


class StrangerError(SwitchError):
    """Who answers is not who was meant: wrong host key, wrong serial, login refused."""


class CandidateError(SwitchError):
    """The device does not accept the candidate; nothing has been applied."""


class UnwrittenError(SwitchError):
    """The device could not write what it starts with, which is as it was."""


class BusyError(SwitchError):
    """Somebody else is configuring the device; nothing has been applied."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A revert that the device is armed with: its checkpoint's name, and seconds until it fires.

    With 0 seconds it has fired and is not done: what runs now is neither the old nor the new.
    """

    checkpoint: str
    seconds: float


class Switch(Protocol):
    """One session with one switch. Use it as a context manager; leaving it closes the session.

    Every method may raise UnreachableError when the session is lost, and SwitchError when the
    device answers what the driver does not understand. Checkpoints have names of the form
    `chapelle-<transaction>`; the device keeps the latest ones only.
    """

    def __enter__(self) -> Self:
        """The session, which is open."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the session. Never raises; an armed revert stays armed."""

    def identify(self) -> Identity:
        """Serial number, name, model and version, read from the device now."""

    def running(self) -> str:
        """The running configuration: no banner, no time stamp, lines end with a newline.

        Raises:
            SwitchError: part of it is missing, for instance because a daemon is down.
        """

    def check(self, candidate: str) -> None:
        """Let the device judge a whole candidate without applying it.

        Raises:
            CandidateError: with the line and what the device said of it.
            BusyError: somebody else holds the configuration.
        """

    def diff(self, candidate: str) -> str:
        """What the device itself says would change; empty when nothing would.

        Raises:
            CandidateError: as `check`.
        """

    def checkpoint(self, name: str) -> str:
        """Keep the running configuration on the device under a name; its text is returned."""

    def arm(self, name: str, seconds: int) -> None:
        """From now on the device goes back to the checkpoint in so many seconds, by itself.

        Raises:
            SwitchError: it could not be armed, is armed already, or the platform's timer does not
                take that time (NX-OS: 30 to 3600 seconds).
        """

    def apply(self, candidate: str) -> None:
        """Make the candidate the running configuration. Only after `arm`.

        It may be called again with another candidate before `confirm`: the revert still leads to
        the checkpoint, at the time that was armed. Where the device arms with the change, it goes
        back to the checkpoint for a moment in between.

        Raises:
            SwitchError: nothing was armed; or the device refused some of it. What is running now
                is the old configuration or some mixture, and the armed revert ends that: `revert`.
            CandidateError: as `check`; nothing was applied.
            BusyError: somebody else holds the configuration; nothing was applied.
        """

    def confirm(self, name: str) -> None:
        """Disarm the revert: the running configuration stays.

        Raises:
            SwitchError: it was not armed any more: it has fired, or is about to.
        """

    def revert(self, name: str) -> None:
        """Go back to the checkpoint now, and disarm; it is verified that it is running again.

        Raises:
            SwitchError: what runs now is not the checkpoint.
        """

    def persist(self) -> None:
        """Make the running configuration the one of the next start, and read it back.

        Raises:
            UnwrittenError: the device could not write it, and starts with what it had before.
            SwitchError: it may have written it, or what it wrote is not what runs.
        """

    def pending(self) -> Pending | None:
        """The revert that the device is armed with, if it is."""

    def facts(self) -> Facts:
        """The state of neighbours, routing, VNIs and ports."""
