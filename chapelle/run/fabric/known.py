"""What we know of each switch from the last time: the configuration that a run of ours left on it.

It is compared with what runs there now, which tells what somebody else changed meanwhile (drift).
A file for each device, below `fabric/known` in the state directory. Of a switch of the lab it lies
with its disk, and goes with it: a node that is made anew is a new machine, and not one changed by
somebody else.
"""

import hashlib
import time
from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError
from chapelle.files import write
from chapelle.settings import Settings


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a run left on a switch: our own sections as the device shows them, and their hash.

    `attempt` is what a run is about to apply, or was when it was cut short; either may be found on
    the device. `time` is in seconds since the epoch.
    """

    device: str
    device_id: int
    sections: str
    sha256: str
    run: str
    time: float
    attempt: str = ""


def store_of(settings: Settings) -> "Store":
    """What this installation knows."""
    return Store(settings.state, lab=settings.target == "lab")


class Store:
    """All that we know.

    Arguments:
        state: the state directory.
        lab: whether the switches are the lab's nodes.
    """

    def __init__(self, state: Path, *, lab: bool = False) -> None:
        self._state = state
        self._lab = lab

    def read(self, device: str) -> Known | None:
        """What we know of a switch, or None before the first time.

        Raises:
            ChapelleError: the file cannot be understood, or was altered.
        """
        path = self._path(device)
        try:
            known = msgspec.json.decode(path.read_bytes(), type=Known)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise _spoilt(path, str(error)) from error
        if digest(known.sections) != known.sha256:
            raise _spoilt(path, "content that is not what its hash was made of")
        return known

    def attempt(self, device: str, device_id: int, now: str, sections: str, run: str) -> None:
        """Note what is about to be applied, where `now` is in force; it stays known meanwhile."""
        before = _known(device, device_id, now, run)
        self._write(msgspec.structs.replace(before, attempt=sections))

    def keep(self, device: str, device_id: int, sections: str, run: str) -> None:
        """Note what is on the device now; an attempt is over."""
        self._write(_known(device, device_id, sections, run))

    def give_up(self, device: str) -> None:
        """Note that an attempt came to nothing."""
        known = self.read(device)
        if known is not None and known.attempt:
            self._write(msgspec.structs.replace(known, attempt=""))

    def _path(self, device: str) -> Path:
        if self._lab:
            return self._state / "lab" / "nodes" / device / "known.json"
        return self._state / "fabric" / "known" / f"{device}.json"

    def _write(self, known: Known) -> None:
        path = self._path(known.device)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(path, msgspec.json.format(msgspec.json.encode(known)) + b"\n")


def digest(text: str) -> str:
    """SHA-256 of a text, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _known(device: str, device_id: int, sections: str, run: str) -> Known:
    return Known(
        device=device,
        device_id=device_id,
        sections=sections,
        sha256=digest(sections),
        run=run,
        time=time.time(),
    )


def _spoilt(path: Path, found: str) -> ChapelleError:
    return ChapelleError(
        "What is known of a switch cannot be read.",
        where=str(path),
        expected="a file that a push wrote",
        found=found,
        remedy="remove the file; the next push then cannot tell what others changed on the switch",
    )
