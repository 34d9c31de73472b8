"""Times as an operator types them: local time of a zone, unless they carry their offset."""

import datetime
from zoneinfo import ZoneInfo

from chapelle.errors import InputError

# Where a site in NetBox has no time zone: that of the reports.
DEFAULT = "Europe/Paris"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        InputError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InputError(
            f"There is no time zone {name!r}.",
            where="--zone, or the time zone of the site in NetBox",
            expected="a name of the IANA time zone database, such as Europe/Paris",
            found=repr(name),
        ) from error


def parse(text: str, zone: str, argument: str) -> datetime.datetime:
    """A time such as 2026-12-03T08:00, with an offset as 2026-12-03T08:00+01:00, or 07:00Z.

    A local time that does not exist, or exists twice, because clocks are changed in that night, is
    refused: an offset says which one is meant.

    Raises:
        InputError: it is no such time.
    """
    try:
        time = datetime.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise _no_time(argument, text, "no such time") from error
    if "T" not in text and " " not in text.strip():
        raise _no_time(argument, text, "a day without a time of day")
    if time.tzinfo is not None:
        return time
    first = time.replace(tzinfo=zone_of(zone), fold=0)
    second = time.replace(tzinfo=zone_of(zone), fold=1)
    if first.utcoffset() != second.utcoffset():
        exists = first.astimezone(datetime.UTC).astimezone(first.tzinfo).replace(tzinfo=None)
        what = "exists twice" if exists == time else "does not exist"
        raise _no_time(argument, text, f"a time that {what} in {zone}: clocks are changed then")
    return first.replace(tzinfo=datetime.timezone(first.utcoffset() or datetime.timedelta()))


def _no_time(argument: str, text: str, found: str) -> InputError:
    return InputError(
        f"{argument} is not a time that can be taken.",
        where="the command line",
        expected="a time such as 2026-12-03T08:00, or with its offset, as 2026-12-03T08:00+01:00",
        found=f"{text!r}: {found}",
    )
