"""Times as an operator types them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapelle.errors import InputError
from chapelle.run.zoned import parse


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-12-03T08:00", "Europe/Paris", "2026-12-03T08:00:00+01:00"),
        ("2026-07-03T08:00", "Europe/Paris", "2026-07-03T08:00:00+02:00"),
        ("2026-12-03 08:00", "Indian/Reunion", "2026-12-03T08:00:00+04:00"),
        ("2026-12-03T08:00+05:00", "Europe/Paris", "2026-12-03T08:00:00+05:00"),
        ("2026-10-25T02:30+01:00", "Europe/Paris", "2026-10-25T02:30:00+01:00"),
        ("2026-12-03T07:00Z", "Europe/Paris", "2026-12-03T07:00:00+00:00"),
        (" 2026-12-03T08:00 ", "UTC", "2026-12-03T08:00:00+00:00"),
    ],
)
def test_times(text: str, zone: str, expected: str) -> None:
    assert parse(text, zone, "--starts").isoformat() == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-10-25T02:30", "exists twice"),
        ("2026-03-29T02:30", "does not exist"),
        ("2026-12-03", "a day without a time"),
        ("tomorrow", "no such time"),
        ("2026-12-03T25:00", "no such time"),
        ("", "no such time"),
    ],
)
def test_times_that_are_none_or_two_are_refused(text: str, why: str) -> None:
    with pytest.raises(InputError, match="--ends") as raised:
        parse(text, "Europe/Paris", "--ends")
    assert why in (raised.value.found or "")


def test_an_unknown_zone_is_refused() -> None:
    for zone in ("Europe/Pariss", "", "../etc/passwd"):
        with pytest.raises(InputError):
            parse("2026-12-03T08:00", zone, "--starts")


@given(time=st.datetimes(), zone=st.sampled_from(["Europe/Paris", "UTC", "Asia/Kathmandu"]))
def test_a_local_time_is_taken_as_typed_or_refused(time, zone: str) -> None:  # type: ignore[no-untyped-def]
    try:
        taken = parse(time.isoformat(), zone, "--starts")
    except InputError:
        return
    assert taken.replace(tzinfo=None) == time
    assert taken.tzinfo is not None
