"""Secrets of one embedded NetBox: made at random once a state directory, readable by us only.

They are not in the cached dump, so two clones never share one.
"""

import secrets
import string

import msgspec

from chapelle import files
from chapelle.netbox.server_layout import Layout, read_json

MODES = ("read", "write", "seed", "tenancy")
_LETTERS = string.ascii_letters + string.digits


class Keys(msgspec.Struct, frozen=True):
    """What NetBox signs sessions with and hashes tokens with."""

    secret_key: str
    pepper: str

    def __repr__(self) -> str:
        return "Keys(…)"


def keys(layout: Layout) -> Keys:
    """The keys; made when there are none."""
    path = layout.home / "keys.json"
    found = read_json(path)
    if set(found) != {"secret_key", "pepper"}:
        found = {"secret_key": _random(64), "pepper": _random(64)}
        files.write(path, msgspec.json.encode(found))
    return msgspec.convert(found, Keys)


def tokens(layout: Layout) -> dict[str, str]:
    """The token of each mode, in the form that goes into `Authorization: Bearer`; made if missing.

    NetBox 4.7, users.models.Token version 2: `nbt_<12 characters>.<40 characters>`.
    """
    found = known_tokens(layout)
    if found is None:
        kept = read_json(layout.tokens)
        found = {m: str(kept.get(m) or f"nbt_{_random(12)}.{_random(40)}") for m in MODES}
        files.write(layout.tokens, msgspec.json.encode(found))
    return found


def known_tokens(layout: Layout) -> dict[str, str] | None:
    """The token of each mode; None where one is missing, as with a NetBox made by older code."""
    found = read_json(layout.tokens)
    return {m: str(found[m]) for m in MODES} if set(found) == set(MODES) else None


def password(layout: Layout) -> None:
    """Make the password of `admin` when there is none."""
    if not layout.password.exists():
        files.write(layout.password, _random(24) + "\n")


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
