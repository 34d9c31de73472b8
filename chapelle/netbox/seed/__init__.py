"""Bring NetBox to what the design says: read, compare, write what differs, never delete.

Idempotent: what is as it should be is not written, so a run that was interrupted is finished by
the next one. Requests are bulk requests, which NetBox does as a whole or not at all. Objects of
different aisles are written side by side; those of one aisle one after the other, because NetBox
counts a device's components in the device's row, and two requests would wait for each other.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chapelle import files
from chapelle.netbox import access, design
from chapelle.netbox.design import Design
from chapelle.netbox.expand import Desired, expand
from chapelle.netbox.seed.client import Client
from chapelle.netbox.seed.lines import Lines
from chapelle.netbox.seed.result import KindResult, SeedResult
from chapelle.netbox.seed.seeder import Progress, Seeder
from chapelle.settings import Settings

__all__ = [
    "Client",
    "KindResult",
    "Lines",
    "Progress",
    "SeedResult",
    "Seeder",
    "alone",
    "digest",
    "seed",
    "wanted",
]

Say = Callable[[str], None]


def seed(
    settings: Settings,
    *,
    dry_run: bool = True,
    adopt: bool = False,
    progress: Progress | None = None,
) -> SeedResult:
    """Seed the NetBox of these settings with the design of this clone.

    A dry run uses the read-only token, so that a mistake cannot write. With `adopt`, objects that
    have a name of the design and are not ours become ours.

    Raises:
        InputError: the design is wrong, or NetBox refuses an object.
        ChapelleError: NetBox is not running, does not answer, or does not know the token.
    """
    intended, desired = wanted(settings)
    granted = access.access(settings, "read" if dry_run else "seed")
    client = Client(granted.url, access.connect(granted).http_session)
    tag = intended.customization.managed_tag.slug
    return Seeder(client, desired, tag=tag, dry_run=dry_run, adopt=adopt, progress=progress).run()


def wanted(settings: Settings) -> tuple[Design, Desired]:
    """The design of this clone, and what it expands to.

    Raises:
        InputError: the design is wrong; each mistake is named with its file and place.
    """
    intended = design.load(design.folder(settings.root))
    return intended, expand(intended)


@contextmanager
def alone(settings: Settings, say: Say) -> Iterator[None]:
    """While this lasts, no other command of this installation seeds its NetBox."""
    lock = settings.state / "seeding.lock"
    with files.locked(lock, lambda: say("waiting: another command seeds NetBox")):
        yield


def digest(settings: Settings) -> str:
    """Twelve hex digits that change with the design and the code that brings it into NetBox."""
    here = Path(__file__).parent
    code = [
        p
        for part in (here, here.parent / "design", here.parent / "expand")
        for p in part.glob("*.py")
    ]
    read = hashlib.sha256()
    for path in sorted([*design.folder(settings.root).glob("*.yml"), *code]):
        read.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return read.hexdigest()[:12]
