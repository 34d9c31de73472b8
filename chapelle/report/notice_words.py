"""The words of maintenance notices, a file a language: `templates/notice.<language>.yml`."""

from pathlib import Path

import msgspec

_TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("fr", "en")


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a notice says in one language; what is in braces is filled in by `notice`.

    `space` stands before a colon.
    """

    title: str
    cancelled: str
    greeting: str
    intro: str
    what: str
    when: str
    times: str
    same_day: str
    works: dict[str, str]
    other_work: str
    nothing_to_do: str
    to_do: str
    effects: dict[str, str]
    short: dict[str, str]
    devices: str
    device: str
    rack: str
    ports: str
    effect: str
    racks: str
    rack_feeds: str
    rack_pdu: str
    rack_dark: str
    rack_off: str
    racks_advice: str
    feeds: str
    contact: str
    no_contact: str
    to: str
    number: str
    days: tuple[str, ...]
    months: tuple[str, ...]
    date: str
    space: str


def words(language: str) -> Words:
    """The words of a language, one of LANGUAGES."""
    return msgspec.yaml.decode((_TEMPLATES / f"notice.{language}.yml").read_bytes(), type=Words)
