"""Ports of a switch that are shut for a while, and open again whatever happens.

It is the first half of the transaction of `chapelle.run.fabric.transaction`, and never the second:
checkpoint, arm the switch's own revert, apply; and then back, instead of confirm and persist. So
the switch goes back by itself when we cannot, starts with its ports open, and remembers nothing.
"""

import contextlib
import re
import time
from collections.abc import Collection, Iterator

import msgspec

from chapelle.drivers.switch.contract import BusyError, Switch, SwitchError, Target
from chapelle.errors import ChapelleError, InputError
from chapelle.fabric import ownership
from chapelle.run.fabric.compare import require_serial
from chapelle.run.fabric.order import Connect
from chapelle.run.fabric.steps import words

REVERT_SECONDS = 180  # after which the switch opens the ports by itself
_GRACE = 60.0  # seconds after it in which it may still be at it
_POLL = 2.0

# How lines below an interface are set in, and how an open port is written.
_INDENT = {"frr": " ", "arista_eos": "   ", "cisco_nxos": "  "}
_OPEN = "no shutdown"


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """Which ports of which switch are to be shut.

    Arguments:
        target: the switch, as it is reached.
        serial: its serial number; empty if NetBox has none.
        ports: their names.
        name: of the checkpoint on the switch.
    """

    target: Target
    serial: str
    ports: tuple[str, ...]
    name: str


def shut(platform: str, configuration: str, ports: Collection[str]) -> str:
    """A configuration with ports shut. Pure.

    Raises:
        InputError: it has no such port, or we do not know how the platform shuts one.
    """
    indent = _INDENT.get(platform)
    missing = {f"interface {port}" for port in ports} - set(configuration.splitlines())
    if indent is None or missing:
        raise InputError(
            "These ports cannot be shut.",
            where=f"platform {platform}",
            expected=f"one of {', '.join(_INDENT)}, and a section for each port",
            found=f"no section {', '.join(sorted(missing))}" if missing else platform,
        )
    made: list[str] = []
    inside = False
    for line in configuration.splitlines():
        if not line.startswith(" "):
            header = re.fullmatch(r"interface (\S+)", line)
            inside = header is not None and header[1] in ports
            made += [line, f"{indent}shutdown"] if inside else [line]
        elif not (inside and line.strip() in {_OPEN, "shutdown"}):
            made.append(line)
    return "\n".join(made) + "\n"


@contextlib.contextmanager
def withdrawn(what: Withdrawal, connect: Connect) -> Iterator[None]:
    """While this lasts the ports are shut.

    Raises:
        BusyError: somebody else is at work on the switch; nothing was changed.
        SwitchError: the switch did not do as asked, and is as before; or it could not be seen that
            it is, which the message says.
    """
    with contextlib.ExitStack() as stack:
        with connect(what.target) as switch:
            before, candidate = _prepare(what, switch)
            fires = time.monotonic() + REVERT_SECONDS
            stack.callback(_open_again, what, connect, before, fires)
            switch.arm(what.name, REVERT_SECONDS)
            switch.apply(candidate)
        yield


def _prepare(what: Withdrawal, switch: Switch) -> tuple[str, str]:
    """What runs, and the same with the ports shut; nothing is touched."""
    name, platform = what.target.name, what.target.platform
    require_serial(what.target, what.serial, switch.identify())
    if pending := switch.pending():
        raise BusyError(
            f"{name} has an unconfirmed change on it.",
            where=f"device {name}, checkpoint {pending.checkpoint}",
            expected="no change under way",
            found=f"one that it takes back by itself in {pending.seconds:.0f} s",
            remedy="resume the run that began it, or wait",
        )
    candidate = shut(platform, switch.running(), what.ports)
    switch.check(candidate)
    before = switch.checkpoint(what.name)
    if shut(platform, before, what.ports) != candidate:
        raise BusyError(
            f"Somebody changed {name} while its ports were to be shut.",
            where=f"device {name}",
            expected="the configuration that was read",
            found="another one",
            remedy="let them finish, then try again",
        )
    return before, candidate


def _open_again(what: Withdrawal, connect: Connect, before: str, fires: float) -> None:
    """See that the switch runs what it ran: by our hand, or by its own."""
    while True:
        try:
            with connect(what.target) as switch:
                _restore(what, switch, before)
        except ChapelleError as error:
            if time.monotonic() > fires + _GRACE:
                raise _unknown(what, words(error)) from error
            time.sleep(_POLL)
        else:
            return


def _restore(what: Withdrawal, switch: Switch, before: str) -> None:
    require_serial(what.target, what.serial, switch.identify())
    platform = what.target.platform
    if switch.pending() is not None or ownership.diff(platform, switch.running(), before):
        switch.revert(what.name)
    if left := ownership.diff(platform, switch.running(), before):
        raise _unknown(what, left.strip().splitlines()[-1].strip())


def _unknown(what: Withdrawal, found: str) -> SwitchError:
    return SwitchError(
        f"Nobody knows whether {what.target.name} has its ports open again.",
        where=f"device {what.target.name}: {', '.join(what.ports)}",
        expected="what it ran before",
        found=found,
        remedy=f"it goes back by itself {REVERT_SECONDS} s after they were shut; then: "
        f"invoke fabric.verify --limit={what.target.name}",
    )
