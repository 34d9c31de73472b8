"""What seeding did, or would do."""

import msgspec


class KindResult(msgspec.Struct, kw_only=True):
    """One kind of object.

    Arguments:
        created, updated: names of what was written, or would be.
        unchanged: how many were as they should be.
        stale: names of objects with our tag that the design does not have (any more).
        foreign: how many objects are neither ours nor in the design.
    """

    kind: str
    created: list[str] = []
    updated: list[str] = []
    unchanged: int = 0
    stale: list[str] = []
    foreign: int = 0


class SeedResult(msgspec.Struct, kw_only=True):
    """One seeding. `conflicts` are what could not be done because something else is in the way."""

    url: str
    dry_run: bool
    kinds: list[KindResult] = []
    conflicts: list[str] = []
    reads: int = 0
    writes: int = 0
    seconds: float = 0

    @property
    def created(self) -> int:
        """How many objects were created."""
        return sum(len(kind.created) for kind in self.kinds)

    @property
    def updated(self) -> int:
        """How many objects were changed."""
        return sum(len(kind.updated) for kind in self.kinds)

    @property
    def unchanged(self) -> int:
        """How many objects were as they should be."""
        return sum(kind.unchanged for kind in self.kinds)

    @property
    def foreign(self) -> int:
        """How many objects were left alone because they are not ours."""
        return sum(kind.foreign for kind in self.kinds)
