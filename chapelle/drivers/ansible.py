"""Ansible, through ansible-runner: one playbook process, its events as plain data.

The process gets an environment of its own making: no ANSIBLE_* variable and no token of the
operator's reaches it, so none reaches the artifacts. It does not outlive the controller.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chapelle import lazy, process
from chapelle.settings import Settings

if TYPE_CHECKING:
    import ansible_runner
else:
    ansible_runner = lazy.library("ansible_runner")

# What ansible-runner itself adds for its event plugin to work.
_RUNNERS_OWN = (
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "AWX_ISOLATED_DATA_DIR",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)

_KINDS = {
    "runner_on_start": "started",
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}

# Seconds that the process gets to end its workers before it is killed.
PATIENCE = 15.0


class TaskEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One task on one host began (`started`) or ended (ok, failed, unreachable, skipped)."""

    time: float
    kind: str
    host: str
    play: str
    task: str
    role: str
    ignored: bool
    result: dict[str, Any]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a playbook process ended: its exit status, whether we stopped it, its last lines."""

    status: int
    stopped: bool
    last_lines: str


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """One playbook to be run on some hosts.

    `directory` is the run's own: artifacts go below it, under `name`. `inventory` is an inventory
    source, `environment` what the inventory plugin reads besides, `variables` go before all others.
    `check` is Ansible's --check with --diff: it changes nothing.
    """

    directory: Path
    name: str
    playbook: Path
    inventory: Path
    hosts: tuple[str, ...]
    environment: Mapping[str, str]
    variables: Mapping[str, Any] = {}
    check: bool = False


def pidfile(directory: Path) -> Path:
    """Where the number of the playbook process of a run is kept."""
    return directory / "playbook.pid"


def running(directory: Path) -> str:
    """The identity of the playbook process of that run, if it still runs; else the empty string."""
    try:
        pid = int(pidfile(directory).read_text())
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (OSError, ValueError):
        return ""
    ours = f"AWX_ISOLATED_DATA_DIR={directory}/".encode() in environment
    return process.identity(pid) if ours else ""


def run(
    settings: Settings,
    book: Playbook,
    on_event: Callable[[TaskEvent], None],
    cancelled: Callable[[], bool],
) -> Ending:
    """Run a playbook to its end.

    Arguments:
        settings: where things are, and how many hosts at one time.
        book: what to run.
        on_event: called for each event, from this thread; what it raises stops the process.
        cancelled: asked about twice a second; once it says yes the process is ended.
    """
    pidfile(book.directory).unlink(missing_ok=True)
    config = _configure(settings, book)
    stopper = _Stopper(book.directory, cancelled)

    def handle(event: dict[str, Any]) -> bool:
        if (kind := _KINDS.get(event["event"])) is not None:
            on_event(_task_event(kind, event["event_data"]))
        return False  # no file for each event

    runner = ansible_runner.Runner(config=config, event_handler=handle, cancel_callback=stopper)
    try:
        _, status = runner.run()
    except BaseException:
        stopper.end()
        raise
    finally:
        pidfile(book.directory).unlink(missing_ok=True)
        shutil.rmtree(Path(config.artifact_dir) / "job_events", ignore_errors=True)
    return Ending(
        status=-1 if status is None else int(status),
        stopped=stopper.asked is not None,
        last_lines=_last_lines(Path(config.artifact_dir)),
    )


def _configure(settings: Settings, book: Playbook) -> Any:
    config = ansible_runner.RunnerConfig(
        private_data_dir=str(book.directory),
        ident=book.name,
        playbook=str(book.playbook),
        inventory=str(book.inventory),
        limit=",".join(book.hosts),
        forks=min(settings.forks, len(book.hosts)),
        cmdline="--check --diff" if book.check else None,
        extravars=dict(book.variables) or None,
        envvars={"ANSIBLE_CALLBACK_PLUGINS": ""},
        project_dir=str(settings.root),
        quiet=True,
    )
    config.prepare()
    # ansible-runner drops settings that are not in a file of its own; so they are set here.
    config.pexpect_timeout = 0.5
    config.suppress_ansible_output = True
    config.env = _environment(settings, book) | {
        name: config.env[name] for name in _RUNNERS_OWN if name in config.env
    }
    tether = Path(__file__).with_name("tether.py")
    program = Path(sys.executable).with_name(config.command[0])
    config.command = [
        *(sys.executable, "-I", str(tether), str(pidfile(book.directory)), str(os.getpid())),
        *(str(program), *config.command[1:]),
    ]
    return config


def _environment(settings: Settings, book: Playbook) -> dict[str, str]:
    return {
        **process.environment("SSH_AUTH_SOCK", "SSL_CERT_FILE"),
        "ANSIBLE_CONFIG": str(settings.root / "ansible.cfg"),
        "ANSIBLE_HOME": str(settings.state / "ansible"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner would turn it off
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONPATH": str(settings.root),
        "CHAPELLE_STATE": str(settings.state),
        "CHAPELLE_CACHE": str(settings.cache),
        "CHAPELLE_TARGET": settings.target,
        **({"CHAPELLE_SSH_CONFIG": str(settings.ssh_config)} if settings.ssh_config else {}),
        **book.environment,
    }


class _Stopper:
    """ansible-runner's cancel callback: SIGTERM first, and only after a while its own SIGKILL."""

    def __init__(self, directory: Path, cancelled: Callable[[], bool]) -> None:
        self.directory = directory
        self.cancelled = cancelled
        self.asked: float | None = None

    def __call__(self) -> bool:
        if self.asked is None and self.cancelled():
            self.asked = time.monotonic()
            self.end()
        return self.asked is not None and time.monotonic() - self.asked > PATIENCE

    def end(self) -> None:
        if name := running(self.directory):
            with suppress(ProcessLookupError):
                os.kill(process.pid_of(name), signal.SIGTERM)


def _task_event(kind: str, data: Mapping[str, Any]) -> TaskEvent:
    result = data.get("res")
    return TaskEvent(
        time=time.time(),
        kind=kind,
        host=data.get("host", ""),
        play=data.get("play", ""),
        task=data.get("task", ""),
        role=data.get("role", ""),
        ignored=bool(data.get("ignore_errors")),
        result=result if isinstance(result, dict) else {},
    )


def _last_lines(artifacts: Path) -> str:
    """What the process said last, for the case that no host has anything to say."""
    try:
        text = (artifacts / "stdout").read_text(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-6:])[-600:]
