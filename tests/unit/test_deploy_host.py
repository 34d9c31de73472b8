"""The steps of bare metal: real BMCs, journal and kept secrets, and an installer that plays a part.

The boot service and the machine behind it are played here; tests/lab/test_bare_metal.py has both.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bmc_rig
import msgspec
import pytest
from bmc_rig import Rig
from test_plan_deploy import GROUND, order

from chapelle.drivers.bmc.client import Bmc
from chapelle.errors import InputError
from chapelle.installer import order as installer
from chapelle.lab import ca
from chapelle.model import deploy
from chapelle.model.boot import BootEvent, BootFile, BootWindow, Firmware
from chapelle.model.outcome import DEPLOY_STEPS, STEPS, StepResult
from chapelle.plan.deploy import order as orders
from chapelle.plan.deploy.policy import Seconds
from chapelle.run import bmc
from chapelle.run.deploy.certify import Evidence
from chapelle.run.deploy.clerk import Clerk
from chapelle.run.deploy.escrow import NEXT, PASSPHRASE, Escrow, new_passphrase
from chapelle.run.deploy.heard import Heard
from chapelle.run.deploy.host import HostWork, Machine, Means
from chapelle.run.journal import Journal, RunRecord, Usual
from chapelle.run.recorder import Recorder

HOST = "compute-a2-01"
TOKEN = "0a" * 24
HASTY = msgspec.structs.replace(
    GROUND,
    policy=msgspec.structs.replace(GROUND.policy, seconds=Seconds(boot=4, silent=4, first_boot=4)),
)
Script = Callable[["Playing", deploy.Order], None]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with bmc_rig.running(tmp_path_factory.mktemp("bmc"), [HOST]) as rig:
        yield rig


class Playing:
    """A boot service with one window, in which an installer does what a script says."""

    def __init__(self, script: Script, images: str) -> None:
        self._script = script
        self._images = images
        self.windows: list[BootWindow] = []
        self.report: Callable[[bytes], bool] = lambda _data: False
        self.header: Callable[[str, bytes], None] = lambda _name, _data: None
        self.orders: list[installer.Order] = []

    @contextmanager
    def window(
        self, window: BootWindow, *, order: Any, on_report: Any, on_header: Any
    ) -> Iterator[Any]:
        self.windows.append(window)
        self.report, self.header = on_report, on_header

        def play() -> None:
            data = order()
            self.orders.append(installer.read(data))
            self._script(self, msgspec.json.decode(data, type=deploy.Order))

        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        yield SimpleNamespace(token=TOKEN, medium_url=f"{self._images}/{TOKEN}/boot.iso")
        thread.join(10)

    def medium(self, firmware: Firmware) -> BootFile:
        return BootFile(path=Path(f"/{firmware}.iso"), sha256="0" * 64)

    def say(self, stage: str, **more: Any) -> None:
        said = deploy.Report(host=HOST, run="run-1", stage=stage, **more)
        self.report(msgspec.json.encode(said))


class Answering:
    """What the host's own system says when it is asked for who installed it."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)

    def installed_by(self) -> str | None:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Bench:
    """One host, and all that brings it up."""

    def __init__(self, fleet: Rig, state: Path) -> None:
        self.fleet = fleet
        self.settings = msgspec.structs.replace(fleet.settings, state=state)
        ca.ensure(self.settings)
        self.escrow = Escrow(self.settings)
        self.evidence = Evidence(state / "run")
        self.journal = Journal(state / "journal.sqlite")
        self.journal.open_run(
            RunRecord(
                id="run-1", kind="provision", target="lab", owner="o", started=1.0, snapshot="s",
                plan="p", commit_id="c", scope="--limit", dry_run=False, process="",
            ),
            [],
        )  # fmt: skip
        self.notes: list[str] = []
        self.recorder = Recorder(
            self.journal, "run-1", STEPS, lambda event: self.notes.append(event.message)
        )

    def carry_out(
        self,
        script: Script,
        contact: Answering,
        *,
        made: deploy.Order | None = None,
        known: dict[str, StepResult] | None = None,
        stop: Callable[[], bool] = lambda: False,
        by_medium: bool = False,
        images: str = "",
        usual: dict[str, Usual] | None = None,
    ) -> tuple[bool, dict[str, StepResult], Playing]:
        made = made or order(HOST)
        playing, clerk = Playing(script, images), Clerk(self.recorder, stop)
        device = self.fleet.dc.device(HOST)
        stand = bmc.Stand(
            dc=self.fleet.dc, devices={HOST: device}, targets={HOST: self.fleet.target(HOST)},
            unfit=(), snapshot="", netbox_url="",
        )  # fmt: skip
        model = orders.model_of(self.fleet.dc, device, HASTY.quirks)
        if by_medium:
            model = msgspec.structs.replace(model, boot="cd")
        machine: Any = Machine(
            order=made, model=model, stand=stand,
            contact=contact, known=known or {}, usual=usual or {},  # type: ignore[arg-type]
        )  # fmt: skip
        means = Means(
            run="run-1", ground=HASTY, service=playing, escrow=self.escrow,  # type: ignore[arg-type]
            signer=ca.HostSigner(ca.folder(self.settings)), clerk=clerk, evidence=self.evidence,
        )  # fmt: skip
        self.recorder.begin([HOST], "gate")
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(HostWork(machine, means, Heard(HOST)).carry_out)
            clerk.pump([work])
        return work.result(), self.journal.steps("run-1", HOST), playing


@pytest.fixture
def bench(fleet: Rig, tmp_path: Path) -> Iterator[Bench]:
    fleet.faults()
    with Bmc(fleet.target(HOST)) as each:
        each.switch("off")
    found = Bench(fleet, tmp_path)
    yield found
    found.journal.close()
    fleet.faults()


def installs(playing: Playing, made: deploy.Order) -> None:
    playing.say("hello", message="build")
    playing.say("unpack", percent=50)
    for name in ["root", *(d.serial for d in made.disks if d.action in {"format", "mount"})]:
        playing.header(name, b"LUKS")
    playing.say("reboot", outcome="done", message="installed", seconds=42.0)


def outcomes(steps: dict[str, StepResult]) -> dict[str, str]:
    return {name: step.outcome for name, step in steps.items()}


# -- good weather ---------------------------------------------------------------------------------


def test_a_host_comes_up_step_by_step_with_a_key_that_was_signed(bench: Bench) -> None:
    came, steps, playing = bench.carry_out(installs, Answering(None, "run-1"))
    assert came
    assert tuple(steps) == DEPLOY_STEPS
    assert set(outcomes(steps).values()) <= {"ok", "changed"}
    assert steps["install"].message == "installed in 42 s"
    (given,) = playing.orders
    assert given.identity is not None
    assert given.encryption is not None
    assert "ssh-ed25519-cert-v01" in given.identity.host_keys[0].certificate
    assert given.encryption.passphrase == bench.escrow.open(HOST, PASSPHRASE).decode()
    assert bench.escrow.open(HOST, "header-root") == b"LUKS"
    with Bmc(bench.fleet.target(HOST)) as each:
        assert each.power() == "on"
        assert each._system().json["Oem"]["Chapelle"]["Booted"][-1] == "Pxe"


def test_no_secret_is_in_the_journal_or_in_a_file_that_is_not_encrypted(bench: Bench) -> None:
    _, _, playing = bench.carry_out(installs, Answering("run-1"))
    (given,) = playing.orders
    assert given.encryption is not None
    assert given.identity is not None
    secrets = (given.encryption.passphrase, given.identity.host_keys[0].private.splitlines()[3])
    for path in bench.settings.state.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in secrets), path
    assert not any(secret in note for secret in secrets for note in bench.notes)


def test_a_rebuild_uses_the_passphrase_that_the_data_disks_know(bench: Bench) -> None:
    bench.escrow.keep(HOST, PASSPHRASE, b"that of last year")
    made = order(HOST, mode="rebuild", status="active")
    came, _, playing = bench.carry_out(installs, Answering("run-1"), made=made)
    assert came
    assert playing.orders[0].encryption is not None
    assert playing.orders[0].encryption.passphrase == "that of last year"


def test_what_the_installer_says_of_erased_disks_is_kept_before_it_is_judged(
    bench: Bench,
) -> None:
    serial = order(HOST).disks[0].serial
    said = {"run": "run-1", "host": HOST, "serial": serial, "rotational": False,
            "size_bytes": 1, "encrypted": True, "offers": [], "steps": []}  # fmt: skip

    def erases(playing: Playing, _made: deploy.Order) -> None:
        playing.say("erase", erased=(said,))
        playing.say("reboot", outcome="done", message="erased")

    made = order(HOST, mode="retire", status="failed")
    came, steps, _ = bench.carry_out(erases, Answering(None), made=made)
    assert came
    assert tuple(steps) == ("gate", "settings", "window", "boot", "erase")
    kept = bench.settings.state / "run" / "erasure-results" / HOST / f"{serial}.json"
    assert msgspec.json.decode(kept.read_bytes())["serial"] == serial


# -- bad weather ----------------------------------------------------------------------------------


def test_another_machine_is_neither_switched_nor_given_a_window(bench: Bench) -> None:
    bench.fleet.faults(**{HOST: {"wrong-serial": 1}})
    came, steps, playing = bench.carry_out(installs, Answering(None))
    assert not came
    assert outcomes(steps) == {"gate": "failed"}
    assert bench.fleet.dc.device(HOST).serial in steps["gate"].message
    assert "CHP000000000000" in steps["gate"].message
    assert playing.windows == []
    with Bmc(bench.fleet.target(HOST)) as each:
        assert each.power() == "off"


def test_a_refusal_of_the_installer_names_what_it_expected_and_found(bench: Bench) -> None:
    def refuses(playing: Playing, _made: deploy.Order) -> None:
        playing.say("hello")
        playing.say("guard", outcome="refused", message="a disk holds data", expected="an empty "
                    "disk", found="ext4")  # fmt: skip

    came, steps, _ = bench.carry_out(refuses, Answering(None))
    assert not came
    assert steps["install"].outcome == "failed"
    assert (
        "guard: a disk holds data; expected an empty disk; found ext4" in steps["install"].message
    )
    assert "first-boot" not in steps


def test_a_host_that_is_stuck_is_named_with_the_last_thing_it_said(bench: Bench) -> None:
    def hangs(playing: Playing, _made: deploy.Order) -> None:
        playing.say("unpack", message="337 MiB", seconds=12.0)

    came, steps, _ = bench.carry_out(hangs, Answering(None))
    assert not came
    assert "stuck" in steps["install"].message
    assert "unpack: 337 MiB (12 s after it began)" in steps["install"].message


def test_a_step_that_outlasts_what_is_usual_is_told_once_and_goes_on(bench: Bench) -> None:
    def dawdles(playing: Playing, made: deploy.Order) -> None:
        for percent in (10, 20, 30):
            playing.say("unpack", percent=percent)
            time.sleep(1.0)
        installs(playing, made)

    usual = {"install": Usual(7, 1.0), "first-boot": Usual(7, 600.0)}
    came, _, _ = bench.carry_out(dawdles, Answering(None, "run-1"), usual=usual)
    assert came
    (told,) = [note for note in bench.notes if "lately" in note]
    assert re.fullmatch(
        rf"{HOST}: install has taken \d s, and lately took 1 s at most on machines of its model "
        r"\(7\); last heard: unpack: \d+ % \(0 s after it began\)", told,
    )  # fmt: skip


def test_a_host_that_never_asks_fails_in_its_boot(bench: Bench) -> None:
    came, steps, _ = bench.carry_out(lambda _playing, _made: None, Answering(None))
    assert not came
    assert steps["boot"].outcome == "failed"
    assert "nothing was heard of it" in steps["boot"].message


def test_an_override_that_the_bmc_does_not_keep_is_its_own_failure(bench: Bench) -> None:
    bench.fleet.faults(**{HOST: {"ignores-override": 1}})
    came, steps, _ = bench.carry_out(lambda _playing, _made: None, Answering(None))
    assert not came
    assert "network by uefi, once" in steps["boot"].message


def test_an_installation_without_its_header_backups_is_not_done(bench: Bench) -> None:
    def forgets(playing: Playing, _made: deploy.Order) -> None:
        playing.say("reboot", outcome="done", message="installed")

    came, steps, _ = bench.carry_out(forgets, Answering("run-1"))
    assert not came
    assert "header" in steps["install"].message


def test_a_rebuild_without_its_passphrase_is_begun_by_nobody(bench: Bench) -> None:
    made = order(HOST, mode="rebuild", status="active")
    came, steps, playing = bench.carry_out(installs, Answering(None), made=made)
    assert not came
    assert steps["window"].outcome == "failed"
    assert playing.windows == []
    assert not bench.escrow.has(HOST, PASSPHRASE)


def test_a_system_of_another_run_is_not_taken_for_the_new_one(bench: Bench) -> None:
    came, steps, _ = bench.carry_out(installs, Answering("run-0"))
    assert not came
    assert "run-0" in steps["first-boot"].message


# -- by virtual media -----------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that has a medium of the run's, and somebody's."""
    folder = tmp_path / "images"
    for path in (folder / TOKEN / "boot.iso", folder / "rescue.iso"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"an image")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def drive(bench: Bench) -> str:
    """What is in the host's virtual CD drive; it is taken out."""
    with Bmc(bench.fleet.target(HOST)) as each:
        return each.eject()


def test_a_model_boots_by_virtual_media_where_its_quirks_say_so(bench: Bench, images: str) -> None:
    held: list[str] = []

    def looks(playing: Playing, made: deploy.Order) -> None:
        with Bmc(bench.fleet.target(HOST)) as each:
            while each.power() == "off":
                time.sleep(0.1)
            held.append(str(each._drive().image))
        installs(playing, made)

    came, steps, playing = bench.carry_out(
        looks, Answering(None, "run-1"), by_medium=True, images=images
    )
    assert came
    assert steps["boot"].message == "by cd, uefi"
    assert held == [f"{images}/{TOKEN}/boot.iso"]
    (window,) = playing.windows
    assert window.medium == playing.medium("uefi")
    assert window.bmc == bench.fleet.machines[HOST].address
    with Bmc(bench.fleet.target(HOST)) as each:
        assert each._system().json["Oem"]["Chapelle"]["Booted"][-1] == "Cd"
    assert drive(bench) == ""


def test_what_somebody_left_in_the_drive_is_named_and_ours_is_not(
    bench: Bench, images: str
) -> None:
    ours = f"{images}/{TOKEN}/boot.iso"
    for left, named in ((f"{images}/rescue.iso", True), (ours, False)):
        with Bmc(bench.fleet.target(HOST)) as each:
            each.insert(left)
        came, steps, _ = bench.carry_out(
            installs, Answering(None, "run-1"), by_medium=True, images=images
        )
        assert came
        assert ("rescue.iso was taken out" in steps["boot"].message) is named
    assert any("rescue.iso was taken out" in note for note in bench.notes)
    assert not any("boot.iso" in note for note in bench.notes)


def test_a_medium_is_taken_out_of_a_host_that_fails(bench: Bench, images: str) -> None:
    def never(_playing: Playing, _made: deploy.Order) -> None:
        """It does not boot."""

    came, steps, _ = bench.carry_out(never, Answering(None), by_medium=True, images=images)
    assert not came
    assert steps["boot"].outcome == "failed"
    assert drive(bench) == ""


def test_a_drive_that_stays_empty_fails_the_boot(bench: Bench, images: str) -> None:
    bench.fleet.faults(**{HOST: {"stuck-drive": 1}})
    came, steps, _ = bench.carry_out(installs, Answering(None), by_medium=True, images=images)
    assert not came
    assert "the image for its CD drive, and did not keep it" in steps["boot"].message
    assert "[...]/boot.iso" in steps["boot"].message
    assert TOKEN not in str(steps)
    with Bmc(bench.fleet.target(HOST)) as each:
        assert each.power() == "off", "it is not left to boot from something else"


# -- gone on with ---------------------------------------------------------------------------------


def left_off(*done: str, unknown: str) -> dict[str, StepResult]:
    steps = {name: StepResult(step=name, outcome="ok", started=1.0, finished=2.0) for name in done}
    return {**steps, unknown: StepResult(step=unknown, outcome="unknown", started=3.0)}


def test_a_host_that_was_installed_meanwhile_is_not_installed_again(bench: Bench) -> None:
    known = left_off("gate", "settings", "window", "boot", unknown="install")
    came, steps, playing = bench.carry_out(installs, Answering("run-1"), known=known)
    assert came
    assert playing.windows == []
    assert "found done" in steps["install"].message
    assert set(outcomes(steps).values()) == {"ok"}
    assert "settings" not in steps, "it was done before, and is not done again"


def test_a_host_that_was_cut_off_and_has_no_power_is_installed_anew(bench: Bench) -> None:
    known = left_off("gate", "settings", "window", "boot", unknown="install")
    came, steps, playing = bench.carry_out(installs, Answering(None, None, "run-1"), known=known)
    assert came
    assert len(playing.windows) == 1
    assert steps["install"].outcome == "changed"


def test_a_run_that_is_to_stop_leaves_the_host_unknown(bench: Bench) -> None:
    begun = time.monotonic()

    def hangs(playing: Playing, _made: deploy.Order) -> None:
        playing.say("unpack")

    def stop() -> bool:
        return time.monotonic() - begun > 3

    came, steps, _ = bench.carry_out(hangs, Answering(None), stop=stop)
    assert not came
    assert list(outcomes(steps).values())[-1] == "unknown"


# -- what is heard and kept -----------------------------------------------------------------------


def test_the_last_words_of_a_host_are_its_own_before_those_about_it() -> None:
    heard = Heard(HOST)
    assert heard.words == "nothing was heard of it"
    heard.event(BootEvent(kind="mode", host=HOST, message="boots as bios"))
    assert heard.words == "mode: boots as bios"
    heard.report(deploy.Report(host=HOST, run="r", stage="encrypt", percent=10, seconds=3.4))
    assert heard.words == "encrypt: 10 % (3 s after it began)"


def test_kept_secrets_open_with_the_private_identity_only(bench: Bench) -> None:
    bench.escrow.keep(HOST, PASSPHRASE, b"secret")
    identity = bench.settings.state / "escrow" / "identity.txt"
    assert identity.stat().st_mode & 0o777 == 0o600
    identity.chmod(0o644)
    with pytest.raises(InputError, match="not private"):
        Escrow(bench.settings)


def test_the_next_passphrase_takes_the_place_of_the_old_one_at_one_stroke(bench: Bench) -> None:
    bench.escrow.keep(HOST, PASSPHRASE, b"old")
    bench.escrow.keep(HOST, NEXT, b"new")
    bench.escrow.replace(HOST)
    assert bench.escrow.open(HOST, PASSPHRASE) == b"new"
    assert bench.escrow.names(HOST) == (PASSPHRASE,)
    assert bench.escrow.destroy(HOST) == ()


def test_passphrases_are_long_and_differ() -> None:
    made = {new_passphrase() for _ in range(50)}
    assert len(made) == 50
    assert {len(each) for each in made} == {41}
