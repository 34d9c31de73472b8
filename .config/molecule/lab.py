"""A lab for a Molecule scenario: `lab.py up HOST...` and `lab.py down`.

The snapshot is made from the design, as the unit tests make it, and left where CHAPELLE_SNAPSHOT
says.
"""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

import reference  # noqa: E402

from chapelle import lab  # noqa: E402
from chapelle.settings import Settings  # noqa: E402


def main(action: str, *hosts: str) -> None:
    """Start nodes, or end the lab and remove its state."""
    settings = Settings.load()
    snapshot = Path(os.environ["CHAPELLE_SNAPSHOT"])
    if action == "up":
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        datacentre = reference.datacentre()
        snapshot.write_bytes(datacentre.snapshot.data)
        lab.up(settings, datacentre, hosts)
    else:
        lab.down(settings)
        shutil.rmtree(settings.state, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
