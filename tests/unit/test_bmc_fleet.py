"""All 300 BMCs of the datacentre at once, some of which misbehave."""

import time
from collections.abc import Iterator

import bmc_rig
import msgspec
import pytest
import reference
from bmc_rig import Rig

from chapelle.drivers.bmc import credentials
from chapelle.drivers.bmc.accounts import change_password
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import Login, StrangerError
from chapelle.lab import bmc as fleets
from chapelle.model.hardware import Limits
from chapelle.run import bmc as running
from chapelle.run import bmc_change as changing
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
    outcome = changing.settle(where, lambda done, total: seen.append((done, total)))
    print(f"300 BMCs with faults: {time.monotonic() - began:.0f} s")

    failed = told(outcome)
    expected = {name: text for name, fault in broken.items() if (text := FAULTS[fault])}
    assert failed.keys() == expected.keys()
    for name, text in expected.items():
        assert text in failed[name], f"{broken[name]}: {failed[name]}"
    assert len(outcome.done) == 300 - len(expected)
    # Boot mode, TPM and serial console; the others come as they are wanted.
    assert {len(changes) for changes in outcome.done.values()} == {3}
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
    outcome = changing.power(where, "status", lambda _done, _total: None)
    assert list(outcome.done) == ["compute-a1-01", "storage-a1-01"]
    assert outcome.failed == unfit


def test_power_is_not_switched_on_a_machine_that_is_another(rig: Rig) -> None:
    host = "compute-a1-03"
    where = running.narrowed(stand(rig), [host])
    rig.faults(**{host: {"wrong-serial": 1}})
    outcome = changing.power(where, "on", lambda _done, _total: None)
    assert "is not the machine that NetBox means" in told(outcome)[host]
    rig.faults()
    assert changing.power(where, "status", lambda _done, _total: None).done == {
        host: ("off", False)
    }
    assert changing.power(where, "on", lambda _done, _total: None).done == {host: ("on", True)}
    assert changing.power(where, "on", lambda _done, _total: None).done == {host: ("on", False)}
    assert changing.power(where, "cycle", lambda _done, _total: None).done == {host: ("on", True)}


# -- passwords ------------------------------------------------------------------------------------


def quiet(*_words: object) -> None:
    """Hears nothing."""


def password_of(rig: Rig, host: str) -> Login:
    return credentials.read(fleets.credentials(rig.settings)).of(host)


def can_log_in(rig: Rig, host: str, login: Login) -> bool:
    try:
        with Bmc(msgspec.structs.replace(rig.target(host), login=login)):
            return True
    except StrangerError:
        return False


def test_passwords_are_changed_and_each_is_proved(rig: Rig) -> None:
    hosts = [f"compute-a2-0{number}" for number in range(1, 5)]
    lost, stuck, another = hosts[1:]
    rig.faults(
        **{lost: {"lost-answer": 1}, stuck: {"stuck-password": 1}, another: {"no-serial": 1}}
    )
    old = password_of(rig, hosts[0])
    where = running.narrowed(stand(rig), hosts)
    outcome = changing.rotate(rig.settings, where, quiet, quiet)
    assert outcome.done == {hosts[0]: True, lost: True}
    assert "does not know it" in told(outcome)[stuck]
    assert "is not the machine that NetBox means" in told(outcome)[another]
    for host in (hosts[0], lost):
        new = password_of(rig, host)
        assert new.next is None
        assert new.password != old.password
        assert can_log_in(rig, host, new)
        assert not can_log_in(rig, host, old)
    assert password_of(rig, "compute-a2-05") == old, "the others' is the one that it was"
    assert fleets.credentials(rig.settings).stat().st_mode & 0o777 == 0o600

    # What failed is done by the same command, once it can be; the password that was to come stays.
    coming = password_of(rig, stuck)
    assert (coming.password, bool(coming.next)) == (old.password, True)
    rig.faults()
    again = changing.rotate(rig.settings, running.narrowed(stand(rig), [stuck]), quiet, quiet)
    assert again.done == {stuck: True}
    assert password_of(rig, stuck).password == coming.next


def test_a_rotation_that_was_killed_leaves_a_login_that_works(rig: Rig) -> None:
    host = "compute-a2-06"
    old = password_of(rig, host)
    coming = Login(user=old.user, password=old.password, next="twenty-characters-xx")
    path = fleets.credentials(rig.settings)
    known = credentials.read(path)
    credentials.write(path, msgspec.structs.replace(known, hosts={**known.hosts, host: coming}))
    where = running.narrowed(stand(rig), [host])
    # Killed before the BMC had it, and after: commands find the one that holds.
    assert running.each(where, lambda bmc: bmc.power(), quiet).done == {host: "off"}
    with Bmc(rig.target(host)) as bmc:
        change_password(bmc, coming.next or "")
    assert running.each(where, lambda bmc: bmc.power(), quiet).done == {host: "off"}
    assert changing.rotate(rig.settings, where, quiet, quiet).done == {host: True}
    assert password_of(rig, host) == Login(user=old.user, password="twenty-characters-xx")
