"""A plan for a tenant: what changes in NetBox, which switches follow, and from which pools.

Frozen, and named by its hash. It can be kept in a file, approved, and applied later, as long as
NetBox holds what it held when the plan was made.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import msgspec

from chapelle.errors import InputError
from chapelle.model.change import Change
from chapelle.plan import sealed
from chapelle.plan.tenancy.pools import Taken

FORMAT = 1

ONBOARD: Final = "tenant-onboard"
OFFBOARD: Final = "tenant-offboard"


class Item(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A piece of equipment of the tenant's, as NetBox knows it.

    `place` is where it stands, empty when it stands nowhere any more; `leaves` says that the plan
    takes it out of NetBox, so that whoever confirms it confirms that it is out of its rack.
    """

    name: str
    model: str
    serial: str = ""
    asset_tag: str = ""
    place: str = ""
    leaves: bool = False


class TenancyPlan(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a tenant's coming, growing or leaving changes.

    The same NetBox content, request and day give the same plan and hash.

    Arguments:
        kind: `tenant-onboard` or `tenant-offboard`.
        tenant: the tenant's slug; `name` its name.
        reference: of the request; empty when a tenant leaves, with all its requests.
        snapshot: the hash of the content that it was made from.
        racks: that the request has afterwards, or that are given back.
        units: of the one rack, where units were asked for.
        aisles: the numbers of those that something changes in.
        switches: whose configuration may change.
        taken: what comes from the pools of the site.
        changes: of NetBox's objects, in their order.
        freeze: how many of the changes come before the switches follow; the others come after.
        equipment: of a tenant that leaves: all that NetBox knows of.
        words: the same for people, a line each.
    """

    format: int = FORMAT
    kind: Literal["tenant-onboard", "tenant-offboard"]
    tenant: str
    name: str
    reference: str = ""
    snapshot: str
    racks: tuple[str, ...]
    units: tuple[int, ...] = ()
    aisles: tuple[str, ...]
    switches: tuple[str, ...]
    taken: tuple[Taken, ...] = ()
    changes: tuple[Change, ...]
    freeze: int
    equipment: tuple[Item, ...] = ()
    words: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the plan's canonical form, as 64 hex digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @property
    def empty(self) -> bool:
        """Whether NetBox says already what it should."""
        return not self.changes


def encode(plan: TenancyPlan) -> bytes:
    """The plan as the bytes of a file, for people to read too."""
    return sealed.encode(plan)


def read(path: Path) -> TenancyPlan:
    """Read a plan from its file.

    Raises:
        InputError: the file cannot be read, or is no plan of this format.
        RefusedError: the content is not what the plan's hash was made of.
    """
    return sealed.read(path, TenancyPlan, FORMAT, _not_a_plan, "--plan-only")


def _not_a_plan(path: Path, found: str) -> InputError:
    return InputError(
        "This is not a plan for a tenant.",
        where=str(path),
        expected=f"a file written by tenant.onboard --plan-only or tenant.offboard --plan-only "
        f"(format {FORMAT})",
        found=found,
    )
