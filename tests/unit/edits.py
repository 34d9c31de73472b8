"""Contents of a snapshot with one thing changed: what people get wrong in NetBox."""

from collections.abc import Callable
from typing import Any

import msgspec

from chapelle.model import records as r
from chapelle.model.records import Content

type Edit = Callable[[Content], Content]


def edited(
    content: Content, list_name: str, find: Callable[[Any], bool], **changes: Any
) -> Content:
    """The content with the first record that `find` accepts changed, or without it."""
    records = list(getattr(content, list_name))
    index = next(i for i, record in enumerate(records) if find(record))
    if changes:
        records[index] = msgspec.structs.replace(records[index], **changes)
    else:
        del records[index]
    return msgspec.structs.replace(content, **{list_name: tuple(records)})


def added(content: Content, list_name: str, record: r.Record) -> Content:
    return msgspec.structs.replace(content, **{list_name: (*getattr(content, list_name), record)})


def named(name: str) -> Callable[[Any], bool]:
    return lambda record: record.name == name


def one(content: Content, list_name: str, find: Callable[[Any], bool]) -> Any:
    return next(record for record in getattr(content, list_name) if find(record))


def device(content: Content, name: str) -> r.Device:
    found: r.Device = one(content, "devices", named(name))
    return found


def port(content: Content, device_name: str, name: str) -> Callable[[Any], bool]:
    owner = device(content, device_name).id
    return lambda record: record.device == owner and record.name == name
