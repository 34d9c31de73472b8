"""The driver of BMCs against the lab's own, which misbehave as real ones do."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bmc_rig
import msgspec
import pytest
from bmc_rig import Rig

from chapelle.drivers.bmc import credentials, quirks
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import (
    BmcError,
    Login,
    Override,
    StrangerError,
    UnreachableError,
    UnsettledError,
)
from chapelle.errors import InputError, RefusedError
from chapelle.lab import bmc as fleets
from chapelle.model.hardware import Limits
from chapelle.settings import ROOT

HOST = "compute-a1-01"
HOSTS = [HOST, "storage-a1-01", "database-a1-01", "infra-a1-01"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with bmc_rig.running(tmp_path_factory.mktemp("bmc"), HOSTS) as rig:
        yield rig


@pytest.fixture
def rig(fleet: Rig) -> Iterator[Rig]:
    """The fleet without faults, its first server off, with the settings of its maker."""
    fleet.faults()
    with Bmc(fleet.target(HOST)) as bmc:
        bmc.switch("off")
        bmc.boot_next(Override(source=None))
    yield fleet
    fleet.faults()


def booted(bmc: Bmc) -> list[str]:
    """What each start of the server booted from."""
    found: list[str] = bmc._system().json["Oem"]["Chapelle"]["Booted"]
    return found


# -- who answers ----------------------------------------------------------------------------------


def test_a_bmc_shows_its_own_server_and_no_other(rig: Rig) -> None:
    for host in HOSTS:
        with Bmc(rig.target(host)) as bmc:
            seen = bmc.hardware()
        device = rig.dc.device(host)
        assert seen.serial == device.serial
        assert {disk.serial for disk in seen.disks} == {
            item.serial for item in rig.dc.inventory_by_device[device.id]
        }
        assert [port.name for port in seen.ports] == ["eno1", "eno2"]
        assert (seen.processors, seen.memory, seen.firmware["bios"]) == (2, 256, "2.4.1")


def test_a_certificate_of_another_authority_ends_it_before_the_password_is_sent(rig: Rig) -> None:
    rig.faults(**{HOST: {"stranger": 1}})
    with pytest.raises(StrangerError) as caught:
        Bmc(rig.target(HOST))
    assert "self-signed" in str(caught.value.found)


def test_a_certificate_for_another_address_is_not_trusted(rig: Rig) -> None:
    elsewhere = msgspec.structs.replace(rig.target(HOST), name="compute-a1-02")
    with pytest.raises(StrangerError) as caught:
        Bmc(elsewhere)
    assert "doesn't match" in str(caught.value.found)
    named = msgspec.structs.replace(rig.target(HOST), name=HOST)
    with Bmc(named) as bmc:
        assert bmc.power() == "off"


def test_a_wrong_password_is_said_and_not_shown(rig: Rig) -> None:
    wrong = Login(user="chapelle", password="not-the-password")
    with pytest.raises(StrangerError) as caught:
        Bmc(msgspec.structs.replace(rig.target(HOST), login=wrong))
    assert "refuses our login" in str(caught.value)
    assert "not-the-password" not in str(caught.value) + repr(wrong)


# -- bad weather ----------------------------------------------------------------------------------


def test_a_bmc_that_is_busy_for_a_while_is_waited_for(rig: Rig) -> None:
    rig.faults(**{HOST: {"busy": 3}})
    with Bmc(rig.target(HOST)) as bmc:
        assert bmc.power() == "off"


@pytest.mark.parametrize(
    ("fault", "message"),
    [("busy", "is busy"), ("unreachable", "does not answer"), ("silent", "does not answer")],
)
def test_a_bmc_that_stays_away_is_given_up_in_time(rig: Rig, fault: str, message: str) -> None:
    rig.faults(**{HOST: {fault: 0}})
    began = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        Bmc(rig.target(HOST, patience=1.5))
    assert message in str(caught.value)
    assert bmc_rig.timed(began) < 15


def test_a_lost_answer_to_a_reset_does_not_reset_twice(rig: Rig) -> None:
    with Bmc(rig.target(HOST)) as bmc:
        before = booted(bmc)
    rig.faults(**{HOST: {"lost-answer": 1}})
    with Bmc(rig.target(HOST)) as bmc:
        assert bmc.switch("on") is True
        assert bmc.power() == "on"
        assert len(booted(bmc)) == len(before) + 1


# -- power ----------------------------------------------------------------------------------------


def test_power_is_switched_once_and_read_back(rig: Rig) -> None:
    with Bmc(rig.target(HOST)) as bmc:
        assert bmc.switch("on") is True
        starts = len(booted(bmc))
        assert bmc.switch("on") is False
        assert len(booted(bmc)) == starts
        bmc.cycle()
        assert (bmc.power(), len(booted(bmc))) == ("on", starts + 1)
        assert bmc.switch("off", graceful=True) is True
        assert bmc.power() == "off"


def test_power_that_does_not_change_is_an_error_with_both_states(rig: Rig) -> None:
    rig.faults(**{HOST: {"stuck-power": 1}})
    limits = Limits(answer=3, power=1, shutdown=1, settings=1)
    with Bmc(rig.target(HOST, limits=limits)) as bmc, pytest.raises(UnsettledError) as caught:
        bmc.switch("on")
    assert (caught.value.expected, caught.value.found) == ("on within 1 s after On", "off")


# -- what it boots from ---------------------------------------------------------------------------


def test_an_override_holds_for_one_start(rig: Rig) -> None:
    once = Override(source="network", mode="bios", once=True)
    with Bmc(rig.target(HOST)) as bmc:
        bmc.boot_next(once)
        assert bmc.override() == once
        bmc.switch("on")
        assert booted(bmc)[-1] == "Pxe"
        assert bmc.override().source is None
        bmc.cycle()
        assert booted(bmc)[-1] == "Hdd"


@pytest.mark.parametrize(
    ("fault", "kept"), [("ignores-override", "as always"), ("forgets", "network by uefi, once")]
)
def test_an_override_that_is_not_kept_is_found_out(rig: Rig, fault: str, kept: str) -> None:
    rig.faults(**{HOST: {fault: 1}})
    wanted = Override(source="network", mode="uefi", once=True)
    with Bmc(rig.target(HOST)) as bmc:
        if fault == "forgets":  # at the next change of power, so it can be seen only then
            bmc.boot_next(wanted)
            bmc.switch("on")
            assert booted(bmc)[-1] == "Hdd"
            return
        with pytest.raises(UnsettledError) as caught:
            bmc.boot_next(wanted)
    assert (caught.value.expected, caught.value.found) == ("network by uefi, once", kept)


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that has two images."""
    for name in ("ours.iso", "other.iso"):
        (tmp_path / name).write_bytes(b"an image")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_image_takes_the_place_of_another_in_the_virtual_drive(rig: Rig, images: str) -> None:
    with Bmc(rig.target(HOST)) as bmc:
        assert bmc.insert(f"{images}/other.iso") == ""
        assert bmc.insert(f"{images}/ours.iso") == f"{images}/other.iso"
        with Bmc(rig.target("infra-a1-01")) as another:
            assert another.eject() == "", "each server has a drive of its own"
        assert bmc.eject() == f"{images}/ours.iso"
        assert bmc.eject() == ""
        with pytest.raises(BmcError, match="refuses"):
            bmc.insert(f"{images}/missing.iso")
        assert bmc.eject() == ""


def test_a_drive_that_wants_to_be_asked_in_other_words_is(rig: Rig, images: str) -> None:
    rig.faults(**{HOST: {"picky-drive": 1}})
    with Bmc(rig.target(HOST)) as bmc:
        bmc.insert(f"{images}/ours.iso")
        assert bmc.eject() == f"{images}/ours.iso"


def test_a_drive_that_does_not_what_its_bmc_says_is_found_out(rig: Rig, images: str) -> None:
    image = f"{images}/ours.iso"
    target = rig.target(HOST, limits=msgspec.structs.replace(bmc_rig.IMPATIENT, answer=1))
    with Bmc(target) as bmc:
        rig.faults(**{HOST: {"stuck-drive": 1}})
        with pytest.raises(UnsettledError) as caught:
            bmc.insert(image)
        assert (caught.value.expected, caught.value.found) == (image, "nothing")
        rig.faults()
        bmc.insert(image)
        rig.faults(**{HOST: {"stuck-drive": 1}})
        with pytest.raises(UnsettledError) as caught:
            bmc.eject()
        assert (caught.value.expected, caught.value.found) == ("nothing", image)
        rig.faults()
        assert bmc.eject() == image


# -- settings -------------------------------------------------------------------------------------


def test_settings_take_with_a_restart_and_power_is_as_before(rig: Rig) -> None:
    host = "storage-a1-01"
    with Bmc(rig.target(host)) as bmc:
        wanted = bmc.target.model.wanted
        assert bmc.settings()["boot-mode"] == "bios"
        bmc.set(wanted)
        assert bmc.settings()["boot-mode"] == "bios", "before the restart nothing has changed"
        assert bmc.settle(wanted) == wanted
        assert bmc.power() == "off"


@pytest.mark.parametrize("fault", ["stuck-settings", "forgets"])
def test_settings_that_do_not_take_are_told(rig: Rig, fault: str) -> None:
    host = "database-a1-01"
    rig.faults(**{host: {fault: 1}})
    with Bmc(rig.target(host)) as bmc:
        bmc.set({"boot-mode": "uefi", "secure-boot": "enabled"})
        now = bmc.settle({"boot-mode": "uefi", "secure-boot": "enabled"})
        assert (now["boot-mode"], now["secure-boot"]) == ("bios", "disabled")


def test_an_attribute_that_the_firmware_has_not_is_refused(rig: Rig) -> None:
    target = rig.target(HOST)
    tpm = msgspec.structs.replace(target.family.settings["tpm"], attribute="Tpm2State")
    family = msgspec.structs.replace(target.family, settings={**target.family.settings, "tpm": tpm})
    with Bmc(msgspec.structs.replace(target, family=family)) as bmc:
        assert bmc.settings()["tpm"] is None
        with pytest.raises(BmcError, match="refuses"):
            bmc.set({"tpm": "enabled"})


# -- files that people write ----------------------------------------------------------------------


def test_an_unknown_model_is_an_error_that_names_the_file() -> None:
    with pytest.raises(InputError) as caught:
        bmc_rig.QUIRKS.of("Dell Inc.", "PowerEdge R650")
    assert caught.value.where == "inventory/hardware-quirks.yml"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("boot-mode: uefi", "boot-mode: efi", "one of uefi, bios"),
        ("model: Database server 1U", "model: Compute server 1U", "each model once"),
        ("cd: Cd", "dvd: Cd", "one of network, http, disk, cd"),
        ("family: generic\n    ports", "family: idrac\n    ports", "one of generic"),
        ("attribute: TpmState", "attribut: TpmState", "attribute"),
        ("answer: 30", "answer: 0", "at least 1"),
        ("    wanted: &usual", "    boot: disk\n    wanted: &usual", "boot"),
    ],
)
def test_a_mistake_in_the_quirks_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    text = (ROOT / "inventory" / "hardware-quirks.yml").read_text()
    path = tmp_path / "hardware-quirks.yml"
    path.write_text(text.replace(old, new, 1))
    assert path.read_text() != text
    with pytest.raises(InputError) as caught:
        quirks.read(path)
    assert told in str(caught.value)


def test_a_way_to_boot_that_the_family_has_no_word_for_is_a_mistake(tmp_path: Path) -> None:
    text = (ROOT / "inventory" / "hardware-quirks.yml").read_text()
    text = text.replace(", cd: Cd}", "}").replace("wanted: &usual", "boot: cd\n    wanted: &usual")
    path = tmp_path / "hardware-quirks.yml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        quirks.read(path)
    assert "models[0].boot" in str(caught.value)
    assert "one of network, http, disk" in str(caught.value)


def test_logins_that_others_may_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bmc.yml"
    path.write_text("default: {user: chapelle, password: open-secret}\n")
    path.chmod(0o640)
    with pytest.raises(RefusedError, match="not private"):
        credentials.read(path)
    path.chmod(0o600)
    assert credentials.read(path).of("any").password == "open-secret"
    path.write_text("default: {user: chapelle, pasword: open-secret}\n")
    with pytest.raises(InputError) as caught:
        credentials.read(path)
    assert "open-secret" not in str(caught.value)


def test_a_fault_that_nobody_knows_is_an_error(rig: Rig) -> None:
    with pytest.raises(InputError, match="cannot have that fault"):
        fleets.set_faults(rig.place, {HOST: {"melts": 1}})
