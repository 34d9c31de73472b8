"""All 300 BMCs of the datacentre at once, some of which misbehave."""

import time
from collections.abc import Iterator

import bmc_rig
import msgspec
import pytest
import reference
from bmc_rig import Rig

from chapelle.model.hardware import Limits
from chapelle.run import bmc as running
from chapelle.run.bmc import Outcome, Stand

LIMITS = Limits(answer=15, power=20, shutdown=20, settings=5)

# What each fault makes of an order to bring settings to what is wanted; None: it is done all the
# same. A part of what the operator is told.
FAULTS = {
    "wrong-serial": "expected serial number CHP",
    "no-serial": "found nothing",
    "wrong-model": "found Another model",
    "swapped-ports": "at eno1, found",
    "missing-disk": "expected disk-",
    "foreign-disk": "is not the machine that NetBox means",
    "unreachable": "does not answer",
    "silent": "does not answer",
    "busy": "is busy",
    "stranger": "cannot be trusted",
    "stuck-power": "does not become on",
    "stuck-settings": "expected boot-mode uefi, ",
    "forgets": "found boot-mode bios, ",
    "lost-answer": None,
    "slow": None,
}
VALUES = {"slow": 0.2}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    names = [device.name or "" for device in reference.datacentre().servers]
    with bmc_rig.running(tmp_path_factory.mktemp("bmc"), names) as found:
        yield found


def stand(rig: Rig) -> Stand:
    return Stand(
        dc=rig.dc,
        devices={name: rig.dc.device(name) for name in rig.machines},
        targets={name: rig.target(name, patience=8, limits=LIMITS) for name in rig.machines},
        unfit=(),
        snapshot=rig.dc.snapshot.hash,
        netbox_url="",
    )


def told(outcome: Outcome[object]) -> dict[str, str]:
    return {failure.host: failure.message for failure in outcome.failed}


def test_three_hundred_bmcs_are_set_and_those_that_misbehave_are_named(rig: Rig) -> None:
    # Two of each fault, all over the datacentre; and some that are busy for a while.
    broken = dict(zip(list(rig.machines)[::10], [*FAULTS, *FAULTS], strict=True))
    faults = {name: {fault: VALUES.get(fault, 0.0)} for name, fault in broken.items()}
    for name in list(rig.machines)[5::50]:
        faults[name] = {"busy": 3}
    rig.faults(**faults)
    where = stand(rig)
    seen: list[tuple[int, int]] = []
    began = time.monotonic()
    outcome = running.settle(where, lambda done, total: seen.append((done, total)))
    print(f"300 BMCs with faults: {time.monotonic() - began:.0f} s")

    failed = told(outcome)
    expected = {name: text for name, fault in broken.items() if (text := FAULTS[fault])}
    assert failed.keys() == expected.keys()
    for name, text in expected.items():
        assert text in failed[name], f"{broken[name]}: {failed[name]}"
    assert len(outcome.done) == 300 - len(expected)
    assert all(len(changes) == 4 for changes in outcome.done.values())
    assert seen[-1] == (300, 300)

    rig.faults()
    looked_at = [*broken, *list(rig.machines)[5::50]]
    again = running.check(running.narrowed(where, looked_at), lambda _done, _total: None)
    assert not again.failed
    assert {name for name, findings in again.done.items() if findings} == expected.keys()
    assert {f.rule for findings in again.done.values() for f in findings} == {"hardware-setting"}


def test_a_server_whose_address_netbox_does_not_know_is_told_with_the_others(rig: Rig) -> None:
    unfit = (running.Failure(host="compute-a9-01", message="no address"),)
    where = running.narrowed(stand(rig), ["compute-a1-01", "storage-a1-01"])
    where = msgspec.structs.replace(where, unfit=unfit)
    outcome = running.power(where, "status", lambda _done, _total: None)
    assert list(outcome.done) == ["compute-a1-01", "storage-a1-01"]
    assert outcome.failed == unfit


def test_power_is_not_switched_on_a_machine_that_is_another(rig: Rig) -> None:
    host = "compute-a1-03"
    where = running.narrowed(stand(rig), [host])
    rig.faults(**{host: {"wrong-serial": 1}})
    outcome = running.power(where, "on", lambda _done, _total: None)
    assert "is not the machine that NetBox means" in told(outcome)[host]
    rig.faults()
    assert running.power(where, "status", lambda _done, _total: None).done == {host: ("off", False)}
    assert running.power(where, "on", lambda _done, _total: None).done == {host: ("on", True)}
    assert running.power(where, "on", lambda _done, _total: None).done == {host: ("on", False)}
    assert running.power(where, "cycle", lambda _done, _total: None).done == {host: ("on", True)}
