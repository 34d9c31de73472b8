"""No switch is changed while the one that stands in for it is away."""

from collections.abc import Collection

import msgspec
import pytest
import reference

from chapelle.errors import RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot
from chapelle.run.fabric import partners

ONE, OTHER = "leaf-a2-1a", "leaf-a2-1b"
SPINES = ["spine-a1", "spine-a2", "spine-a3", "spine-a4"]


def with_active(*names: str) -> Datacentre:
    content = reference.datacentre().content
    devices = tuple(
        msgspec.structs.replace(each, status="active" if each.name in names else "planned")
        for each in content.devices
    )
    return Datacentre(Snapshot(msgspec.structs.replace(content, devices=devices)))


def require(
    dc: Datacentre, changing: Collection[str], *, seen: Collection[str] = (), up: Collection[str]
) -> list[str]:
    """Which switches were asked."""
    asked = []

    def answers(device: r.Device) -> bool:
        asked.append(device.name or "")
        return device.name in up

    partners.require(dc, changing, seen, answers)
    return asked


def test_a_leaf_whose_partner_is_down_is_not_changed() -> None:
    dc = with_active(ONE, OTHER)
    with pytest.raises(RefusedError, match=f"{ONE} would be changed") as caught:
        require(dc, [ONE], up=[])
    assert OTHER in str(caught.value)
    assert require(dc, [ONE], up=[OTHER]) == [OTHER]


def test_a_partner_that_has_answered_is_not_asked_again() -> None:
    assert require(with_active(ONE, OTHER), [ONE, OTHER], seen=[ONE, OTHER], up=[]) == []


def test_nothing_is_required_of_a_group_that_is_being_built() -> None:
    assert require(with_active(), [ONE], up=[]) == []
    assert require(with_active(ONE), [ONE], up=[]) == [], "the other is out of service, says NetBox"


def test_one_spine_that_answers_is_enough_for_all_others() -> None:
    dc = with_active(*SPINES)
    assert require(dc, SPINES[:2], up=SPINES[3:]) == SPINES[1:]
    with pytest.raises(RefusedError, match="spine"):
        require(dc, SPINES[:1], up=[])


def test_an_out_of_band_switch_has_nobody_to_stand_in() -> None:
    assert require(with_active("oob-a2-1", "oob-a2-2"), ["oob-a2-1"], up=[]) == []
