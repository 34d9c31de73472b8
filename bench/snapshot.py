"""A snapshot against netbox.netbox.nb_inventory, on the same NetBox, in the same run.

    .venv/bin/python bench/snapshot.py                 the reference datacentre, 300 servers
    .venv/bin/python bench/snapshot.py --devices 3000  a large site, in a NetBox of its own

All are whole processes from a cold start: `invoke snapshot.take --full`, which reads everything;
`invoke snapshot.take`, which asks NetBox's change log and its counts first; `ansible-inventory
--list` with nb_inventory, interfaces on, which reads everything each time. They take turns, and the
best time of each counts. What a snapshot reads besides (cables, power, disks, racks, tenants)
counts against the snapshot.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import environment
import msgspec

from chapelle.errors import ChapelleError
from chapelle.netbox import access, server, server_install, server_web, snapshot
from chapelle.netbox.server_layout import Layout
from chapelle.run import prepare
from chapelle.settings import ROOT, Settings

REFERENCE = 300

# How many times faster than the peer a snapshot is to be.
GOAL = 15
PEER_NAME = "nb_inventory"

# As its documentation has it, with interfaces on, as asked. Its racks and services stay on: so they
# are by default. The time-out is raised so that it can finish on a slow machine.
PEER = """\
plugin: netbox.netbox.nb_inventory
api_endpoint: {url}
validate_certs: false
interfaces: true
timeout: 600
"""


def main() -> None:
    """Measure and print one line for each, and the ratio."""
    parser = argparse.ArgumentParser(description="snapshot.take against nb_inventory")
    parser.add_argument("--devices", type=int, default=REFERENCE, help="servers in NetBox")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    wanted = parser.parse_args()
    settings = Settings.load()
    programs = environment.programs(settings, say)
    with tempfile.TemporaryDirectory(prefix="chapelle-bench-") as folder:
        if wanted.devices == REFERENCE:
            prepare.netbox(settings, say)
            measure(settings, programs, Path(folder), wanted.rounds)
            return
        large = msgspec.structs.replace(settings, state=Path(folder) / "state")
        server.up(large, say)
        try:
            fill(large, wanted.devices)
            measure(large, programs, Path(folder), wanted.rounds)
        finally:
            server.reset(large, say)


def fill(settings: Settings, devices: int) -> None:
    """Put a large site into an empty NetBox."""
    say(f"making {devices} devices")
    layout = Layout.of(settings)
    python = server_install.environment(layout) / "bin" / "python"
    script = ROOT / "bench" / "large_site.py"
    environ = {**os.environ, **server_web.environ(layout)}
    subprocess.run([python, script, str(devices)], env=environ, check=True)


def measure(settings: Settings, programs: Path, folder: Path, rounds: int) -> None:
    """Let both take turns, check that they saw the same devices, and print the figures."""
    granted = access.access(settings, "read")
    source = folder / "peer.netbox.yml"
    source.write_text(PEER.format(url=granted.url))
    config = folder / "ansible.cfg"
    config.write_text("[inventory]\nany_unparsed_is_failed = true\n")
    out = folder / "peer.json"
    peer = [str(programs / "ansible-inventory"), "-i", str(source), "--list", "--output", str(out)]
    peer_environ = {"NETBOX_TOKEN": granted.token, "ANSIBLE_CONFIG": str(config)}
    again = [sys.executable, "-m", "invoke", "snapshot.take"]
    own_environ = {"CHAPELLE_STATE": str(settings.state)}
    times: dict[str, list[float]] = {"snapshot.take --full": [], "snapshot.take": [], PEER_NAME: []}
    for number in range(rounds):
        times["snapshot.take --full"].append(timed([*again, "--full"], own_environ, ROOT))
        times["snapshot.take"].append(timed(again, own_environ, ROOT))
        times[PEER_NAME].append(timed(peer, peer_environ, folder))
        turn = ", ".join(f"{name} {seconds[-1]:.2f} s" for name, seconds in times.items())
        say(f"round {number + 1}: {turn}")
    taken = snapshot.latest(settings)
    hosts = len(msgspec.json.decode(out.read_bytes())["_meta"]["hostvars"])
    if taken is None or hosts != len(taken.snapshot.content.devices):
        raise ChapelleError("The two did not see the same devices.", found=f"{hosts} hosts")
    content = taken.snapshot.content
    objects = sum(len(getattr(content, name)) for name in content.__struct_fields__)
    interfaces = len(content.interfaces)
    say(f"devices {hosts}, interfaces {interfaces}, objects in the snapshot {objects}")
    theirs = min(times[PEER_NAME])
    for name, seconds in times.items():
        say(f"{name:<22}{min(seconds):8.2f} s{verdict(theirs / min(seconds), name)}")


def verdict(ratio: float, name: str) -> str:
    """How much faster than the peer that is, and whether it meets the goal."""
    if name == PEER_NAME:
        return ""
    met = "met" if ratio >= GOAL else "MISSED"
    return f"   {ratio:6.1f} times faster (goal {GOAL}: {met})"


def timed(command: Sequence[str], environ: dict[str, str], folder: Path) -> float:
    """Seconds that the command takes; what it prints is shown only when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise ChapelleError(f"{Path(command[0]).name} failed.", found=done.stderr[-2000:])
    return seconds


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ChapelleError as error:
        sys.exit(f"error: {error}")
