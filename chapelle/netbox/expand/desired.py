"""What NetBox should contain: items by natural key, which refer to each other by key."""

from collections.abc import Iterator
from typing import Any

import msgspec

Key = tuple[str, ...]

# Custom fields are addressed singly in `Item.initial`, as `custom_fields.<name>`.
CUSTOM = "custom_fields"


class Ref(msgspec.Struct, frozen=True):
    """Another item; it stands for that item's NetBox id."""

    kind: str
    key: Key


class Item(msgspec.Struct, kw_only=True):
    """One object that NetBox should contain.

    Arguments:
        kind: a name of `chapelle.netbox.seed.kinds.KINDS`.
        key: what makes it one of its kind, in names.
        fields: NetBox's field names and values; a Ref, or a list of them, for other items.
        origin: file and path in the design that ask for it.
        initial: fields that are set when the object is made, or while NetBox has nothing there;
            afterwards they belong to operators and runs (a status, a serial number).
        lane: the aisle's number, 0 for what belongs to none; items of different aisles are
            written side by side.
    """

    kind: str
    key: Key
    fields: dict[str, Any]
    origin: str
    initial: frozenset[str] = frozenset()
    lane: int = 0

    @property
    def name(self) -> str:
        """How messages name the item."""
        return " ".join(part for part in self.key if part)

    @property
    def ref(self) -> Ref:
        """A reference to this item."""
        return Ref(self.kind, self.key)


class Desired:
    """All items, by kind and key, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.items: dict[str, dict[Key, Item]] = {}

    def of(self, kind: str) -> dict[Key, Item]:
        """The items of a kind."""
        return self.items.get(kind, {})

    def __iter__(self) -> Iterator[Item]:
        for items in self.items.values():
            yield from items.values()

    def __len__(self) -> int:
        return sum(len(items) for items in self.items.values())

    def has(self, ref: Ref) -> bool:
        """Whether the item that `ref` names exists."""
        return ref.key in self.of(ref.kind)


def refs(value: Any) -> Iterator[Ref]:
    """All references in a field's value."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for member in value:
            yield from refs(member)
    elif isinstance(value, dict):
        for member in value.values():
            yield from refs(member)
