"""Turn plain values into the classes of the schema, and collect every mistake on the way.

msgspec stops at the first mistake; here each field of each part is converted by itself, so that a
file's mistakes are all shown at once.
"""

import datetime
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

Mistake = tuple[str, str, str]  # path, expected, found

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    datetime.date: "a day such as 2027-03-31",
    type(None): "null",
}


def convert(value: Any, wanted: Any, path: str, mistakes: list[Mistake]) -> Any:
    """`value` as `wanted`; mistakes are appended, and what is returned is then of no use."""
    origin = get_origin(wanted)
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return _struct(value, wanted, path, mistakes)
    if origin in (Union, types.UnionType):
        return _union(value, wanted, path, mistakes)
    if origin is list or get_args(wanted)[1:] == (...,):
        found = _list(value, get_args(wanted)[0], path, mistakes)
        return found if origin is list else tuple(found)
    if origin is dict:
        return _dict(value, get_args(wanted)[1], path, mistakes)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        mistakes.append((path, describe(wanted), shown(value)))
        return None


def _struct(
    value: Any, wanted: type[msgspec.Struct], path: str, mistakes: list[Mistake]
) -> msgspec.Struct | None:
    fields = {field.name: field for field in msgspec.structs.fields(wanted)}
    hints = get_type_hints(wanted, include_extras=True)
    if not isinstance(value, dict):
        mistakes.append((path, f"a mapping with {_listed(fields)}", shown(value)))
        return None
    before = len(mistakes)
    mistakes += [
        (_join(path, key), f"one of {_listed(fields)}", f"the key {key!r}")
        for key in value
        if key not in fields
    ]
    given: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            given[name] = convert(value[name], hints[name], _join(path, name), mistakes)
        elif field.required:
            mistakes.append((_join(path, name), describe(hints[name]), "nothing"))
    return wanted(**given) if len(mistakes) == before else None


def _union(value: Any, wanted: Any, path: str, mistakes: list[Mistake]) -> Any:
    members = get_args(wanted)
    if value is None and type(None) in members:
        return None
    others = [member for member in members if member is not type(None)]
    if len(others) == 1:
        return convert(value, others[0], path, mistakes)
    for member in others:
        attempt: list[Mistake] = []
        result = convert(value, member, path, attempt)
        if not attempt:
            return result
    mistakes.append((path, describe(wanted), shown(value)))
    return None


def _list(value: Any, member: Any, path: str, mistakes: list[Mistake]) -> list[Any]:
    if not isinstance(value, list):
        mistakes.append((path, "a list", shown(value)))
        return []
    return [convert(item, member, f"{path}[{i}]", mistakes) for i, item in enumerate(value)]


def _dict(value: Any, member: Any, path: str, mistakes: list[Mistake]) -> dict[str, Any]:
    if not isinstance(value, dict):
        mistakes.append((path, "a mapping", shown(value)))
        return {}
    return {key: convert(item, member, _join(path, key), mistakes) for key, item in value.items()}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def shown(value: Any) -> str:
    """The value as a reader would recognise it, cut when long."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict | list):
        return _WORDS[type(value)]
    text = repr(value)
    if len(text) <= 80:
        return text
    return (
        f"{text[:77]}... ({len(value)} characters)" if isinstance(value, str) else f"{text[:77]}..."
    )


def describe(wanted: Any) -> str:
    """A type of the schema in words."""
    origin = get_origin(wanted)
    if origin is Annotated:
        base, *metas = get_args(wanted)
        bounds = [
            bound for meta in metas if isinstance(meta, msgspec.Meta) for bound in _meta(meta)
        ]
        return " ".join([describe(base), *bounds])
    if origin is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(wanted))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(member) for member in get_args(wanted))
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return "a mapping with " + _listed(wanted.__struct_fields__)
    return _WORDS.get(origin or wanted, str(wanted))


def _meta(meta: msgspec.Meta) -> list[str]:
    bounds = []
    if meta.ge is not None:
        bounds.append(f"of at least {meta.ge}")
    if meta.gt is not None:
        bounds.append(f"above {meta.gt}")
    if meta.le is not None:
        bounds.append(f"and at most {meta.le}")
    if meta.pattern is not None:
        bounds.append(f"that matches {meta.pattern}")
    if meta.min_length is not None:
        bounds.append(f"of {meta.min_length} characters or more")
    if meta.max_length is not None:
        bounds.append(f"of {meta.max_length} characters at most")
    return bounds
