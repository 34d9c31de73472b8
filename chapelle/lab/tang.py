"""The lab's Tang servers: real ones in the hub, on the addresses that NetBox gives them.

Each has keys of its own, made when it first starts; `thumbprints` is how a client knows them
without trusting whoever answers. Sources: tang(8); RFC 7638.
"""

import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from chapelle import process
from chapelle.errors import ChapelleError, InputError
from chapelle.lab import cgroup, files, wires
from chapelle.settings import Settings

PORT = 80
PROGRAM = Path("/usr/libexec/tangd")
KEYGEN = Path("/usr/libexec/tangd-keygen")
LISTENER = "systemd-socket-activate"


def missing() -> Mapping[str, str]:
    """What they need and the machine lacks: program and the package that brings it."""
    found = {} if PROGRAM.exists() else {str(PROGRAM): "tang-common"}
    if not shutil.which("jose"):
        found["jose"] = "jose"
    return found if shutil.which(LISTENER) else {**found, LISTENER: "systemd"}


def folder(settings: Settings) -> Path:
    """Where the servers' keys are, a directory for each address."""
    return settings.state / "lab" / "tang"


def url(address: str) -> str:
    """Where a server is, from its address with or without prefix length."""
    return f"http://{ipaddress.IPv4Interface(address).ip}"


def start(
    settings: Settings, addresses: Collection[str], namespace: int, groups: cgroup.Tree
) -> None:
    """Start those that are not at work.

    Raises:
        ChapelleError: one does not start.
    """
    for address in addresses:
        ip = str(ipaddress.IPv4Interface(address).ip)
        home = files.directory(folder(settings) / ip)
        keys = files.directory(home / "keys")
        if not any(keys.iterdir()):
            _run([str(KEYGEN), str(keys)])
        if not process.alive(_noted(home)):
            _launch(home, ip, namespace, groups)


def stop(settings: Settings, address: str) -> None:
    """End one: whoever asks it is refused. `start` brings it back with its keys.

    Raises:
        InputError: there is none at that address.
    """
    home = folder(settings) / str(ipaddress.IPv4Interface(address).ip)
    if not home.is_dir():
        raise InputError(
            "The lab has no such Tang server.",
            where=str(folder(settings)),
            expected=", ".join(sorted(each.name for each in folder(settings).glob("*"))),
            found=address,
        )
    noted = _noted(home)
    if process.alive(noted):
        os.kill(process.pid_of(noted), signal.SIGKILL)
    (home / "process").unlink(missing_ok=True)


def thumbprints(settings: Settings, address: str) -> tuple[str, ...]:
    """The thumbprints (SHA-256) of a server's keys that sign, in order."""
    keys = folder(settings) / str(ipaddress.IPv4Interface(address).ip) / "keys"
    found = []
    for path in sorted(keys.glob("*.jwk")):
        use = ["jose", "jwk", "use", "-i", str(path), "-u", "verify"]
        if subprocess.run([*use, "-r"], capture_output=True, check=False).returncode == 0:
            found.append(_run(["jose", "jwk", "thp", "-i", str(path), "-a", "S256"]).strip())
    return tuple(found)


def _noted(home: Path) -> str:
    try:
        return (home / "process").read_text()
    except FileNotFoundError:
        return ""


def _launch(home: Path, ip: str, namespace: int, groups: cgroup.Tree) -> None:
    enter_group = groups.entering(cgroup.HOLDER)

    def enter() -> None:
        enter_group()
        os.setns(namespace, os.CLONE_NEWNET)

    command = [LISTENER, "--accept", "--inetd", f"--listen={ip}:{PORT}", str(PROGRAM)]
    with (home / "log").open("ab") as log:
        started = subprocess.Popen(
            [*command, str(home / "keys")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
            preexec_fn=enter,  # noqa: PLW1509  (no other thread of ours runs)
        )
    files.write(home / "process", process.identity(started.pid))
    _wait(started, home, ip, namespace)


def _wait(started: subprocess.Popen[bytes], home: Path, ip: str, namespace: int) -> None:
    """Until it answers, which takes some milliseconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end and started.poll() is None:
        with wires.entered(namespace):
            probe = socket.socket()
        with probe:
            probe.settimeout(1)
            if probe.connect_ex((ip, PORT)) == 0:
                return
        time.sleep(0.05)
    raise ChapelleError(
        "A Tang server of the lab does not start.",
        where=str(home),
        expected=f"an answer at {ip}, TCP port {PORT}",
        found=(home / "log").read_text(errors="replace")[-300:] or "nothing",
    )


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ChapelleError(
            "A Tang server's keys cannot be made or read.",
            where=" ".join(command),
            expected="exit status 0",
            found=done.stderr.strip() or f"exit status {done.returncode}",
        )
    return done.stdout
