"""Fills the cache with a seeded NetBox's dump and the lab's root image: ahead.py STATE

Run by conftest.py beside the tests that need no NetBox, in a state directory of its own; by each
process of tests, of which the first does it and the others wait for that.
"""

import contextlib
import fcntl
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import settings_of

from chapelle.netbox import seed, server, server_install
from chapelle.netbox.server_database import seeded_dump
from chapelle.netbox.server_layout import Layout
from chapelle.run import prepare


def silent(_line: str) -> None:
    """Tests say what they need; this has nothing to add."""


if __name__ == "__main__":
    with contextlib.suppress(PermissionError):  # most tests wait for this
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    settings = settings_of(Path(sys.argv[1]))
    layout = Layout.of(settings)
    settings.cache.mkdir(parents=True, exist_ok=True)
    first = (settings.cache / "tests-ahead.lock").open("w")
    fcntl.flock(first, fcntl.LOCK_EX)
    if not seeded_dump(layout, server_install.version(layout), seed.digest(settings)).exists():
        prepare.netbox(settings, silent)
        server.reset(settings, silent)
