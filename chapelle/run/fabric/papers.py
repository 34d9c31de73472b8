"""What a transaction leaves on the controller: a directory for each device below the run's own.

| file | what it holds |
|---|---|
| `checkpoint.conf` | what ran on the device before, whole |
| `candidate.conf` | what was to run on it, whole |
| `sections.conf` | our own sections of it, as they were rendered |
| `diff.txt` | what changes, as people were shown it |
| `device-diff.txt` | what changes in the device's own words |
| `before.json`, `after.json` | the state of neighbours, routing, VNIs, and ports |
"""

from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError
from chapelle.files import write
from chapelle.model.switch import Facts

CHECKPOINT = "checkpoint.conf"
CANDIDATE = "candidate.conf"
SECTIONS = "sections.conf"
DIFF = "diff.txt"
DEVICE_DIFF = "device-diff.txt"
BEFORE = "before.json"
AFTER = "after.json"


class Papers:
    """The papers of one device in one run.

    Arguments:
        run: the run's directory.
        device: the device's name.
        purpose: a second set beside the first, such as for taking a change back.
    """

    def __init__(self, run: Path, device: str, purpose: str = "") -> None:
        self.path = run / "devices" / device / purpose

    def put(self, name: str, text: str) -> None:
        """Write one, atomically.

        Raises:
            ChapelleError: it cannot be written.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(self.path / name, text.encode())

    def get(self, name: str) -> str | None:
        """Read one, or None when it is not there."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def put_facts(self, name: str, facts: Facts) -> None:
        """Write what was read of a device."""
        self.put(name, msgspec.json.format(msgspec.json.encode(facts)).decode() + "\n")

    def facts(self, name: str) -> Facts | None:
        """What was read of the device, or None when nothing was.

        Raises:
            ChapelleError: the file cannot be understood.
        """
        text = self.get(name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Facts)
        except msgspec.DecodeError as error:
            raise ChapelleError(
                "What a run wrote down of a switch cannot be read.",
                where=str(self.path / name),
                found=str(error),
            ) from error
