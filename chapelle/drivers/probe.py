"""A Linux host inside a tenant's network, from which its lines are measured: ping and iperf3.

It is reached by OpenSSH, and nothing is installed or changed on it. What is measured is what a
packet meets that the tenant itself sends.

Sources: ping(8) of iputils (options -D and -O); iperf3(1), its JSON.
"""

import contextlib
import itertools
import json
import re
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.acceptance import Pings

# Seconds between two echo requests: the least that ping lets everybody use.
INTERVAL = 0.2
PORT = 5201
_LOGIN_SECONDS = 20.0

_ANSWER = re.compile(
    r"^\[(?P<at>[\d.]+)\] (?:\d+ bytes from .*icmp_seq=(?P<seq>\d+) .*time=(?P<ms>[\d.]+) ms"
    r"|no answer yet for icmp_seq=(?P<silent>\d+)|From .*icmp_seq=(?P<refused>\d+) )",
    re.MULTILINE,
)


class ProbeError(ChapelleError):
    """The probe could not be asked, or could not measure; nothing is known of the line."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A host that measures.

    Arguments:
        name: how OpenSSH's client configuration knows it.
        ssh: the client's command, without the host.
        address: its own in the tenant's network, which packets come from; empty: the one it takes.
    """

    name: str
    ssh: tuple[str, ...]
    address: str = ""

    def run(self, *command: str, seconds: float = 30.0) -> str:
        """Run a command as whoever logs in; what it prints.

        Raises:
            ProbeError: it fails, or does not end in time.
        """
        try:
            done = subprocess.run(
                self._command(command), capture_output=True, text=True, check=False,
                timeout=seconds + _LOGIN_SECONDS, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise self._failed(command, f"no end after {error.timeout:.0f} s") from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise self._failed(command, f"exit status {done.returncode}: {' / '.join(said[-2:])}")
        return done.stdout

    def ping(self, address: str, *, count: int) -> Pings:
        """Send echo requests and wait for the answers; none at all is an answer, too.

        Raises:
            ProbeError: the probe cannot be asked.
        """
        line = f"{self._ping(address)} -c {count} || [ $? -eq 1 ]"
        said = self.run("sh", "-c", line, seconds=count * INTERVAL + 5)
        return pings(said)

    @contextlib.contextmanager
    def watching(self, address: str, *, seconds: float) -> Iterator[list[Pings]]:
        """Send echo requests meanwhile; the list has what became of them once this has ended.

        Arguments:
            address: who is asked.
            seconds: after which the probe stops by itself, whatever became of us.

        Raises:
            ProbeError: the probe cannot be asked.
        """
        found: list[Pings] = []
        command = self._command(("sh", "-c", f"exec {self._ping(address)} -w {seconds:.0f}"))
        with tempfile.TemporaryFile("w+") as said, _running(command, said) as process:
            self._require_begun(process, said)
            yield found
            time.sleep(2 * INTERVAL)
            process.terminate()
            process.wait()
            said.seek(0)
            found.append(pings(said.read()))

    def megabits(self, other: "Probe", *, seconds: int) -> float:
        """Megabits a second that arrive at another probe over TCP, as iperf3 counts them.

        Arguments:
            other: where they are to arrive; it has an address.
            seconds: how long is sent.

        Raises:
            ProbeError: one of them cannot be asked, or iperf3 says why not.
        """
        most = seconds + 15
        server = ("timeout", str(most), "iperf3", "--server", "--one-off", "--forceflush", "--port",
                  str(PORT))  # fmt: skip
        own = ("--bind", self.address) if self.address else ()
        client = ("iperf3", "--json", "--client", other.address, "--port", str(PORT),
                  "--time", str(seconds), "--connect-timeout", "5000", *own)  # fmt: skip
        with tempfile.TemporaryFile("w+") as said, _running(other._command(server), said):
            other._require_begun_listening(said)
            text = self.run("sh", "-c", f"{shlex.join(client)} || :", seconds=most)
        return self._received(client, text)

    def _received(self, command: Sequence[str], text: str) -> float:
        try:
            answer = json.loads(text)
            return float(answer["end"]["sum_received"]["bits_per_second"]) / 1e6
        except (ValueError, KeyError, TypeError) as error:
            said = re.search(r'"error":\s*"([^"]*)"', text)
            raise self._failed(command, said[1] if said else text.strip()[-200:]) from error

    def _ping(self, address: str) -> str:
        own = f"-I {shlex.quote(self.address)} " if self.address else ""
        return f"ping -n -D -O -W 1 -i {INTERVAL} {own}{shlex.quote(address)}"

    def _require_begun(self, process: subprocess.Popen[str], said: IO[str]) -> None:
        """Wait for ping's first line: from then on nothing is missed."""
        end = time.monotonic() + _LOGIN_SECONDS
        while not _text(said):
            if process.poll() is not None or time.monotonic() > end:
                raise self._failed(("ping",), "nothing was sent")
            time.sleep(0.1)

    def _require_begun_listening(self, said: IO[str]) -> None:
        end = time.monotonic() + _LOGIN_SECONDS
        while "listening" not in _text(said):
            if time.monotonic() > end:
                raise self._failed(("iperf3", "--server"), _text(said).strip() or "nothing said")
            time.sleep(0.1)

    def _command(self, command: Sequence[str]) -> list[str]:
        return [*self.ssh, self.name, shlex.join(command)]

    def _failed(self, command: Sequence[str], found: str) -> ProbeError:
        return ProbeError(
            f"{self.name} could not measure.",
            where=f"{self.name}: {shlex.join(command)}",
            expected="a login by OpenSSH, and the programs ping and iperf3",
            found=found,
            remedy=f"try: ssh {self.name}",
        )


def _text(said: IO[str]) -> str:
    """What was written so far, by a process that goes on writing at the end."""
    with open(f"/proc/self/fd/{said.fileno()}", encoding="utf-8") as again:  # noqa: PTH123
        return again.read()


@contextlib.contextmanager
def _running(command: Sequence[str], said: IO[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pings(said: str) -> Pings:
    """What `ping -D -O` says, whether it ended by itself or was cut off."""
    answered: list[float] = []
    moments: list[float] = []
    times: dict[int, float] = {}
    last = 0
    for line in _ANSWER.finditer(said):
        at = float(line["at"])
        number = int(line["seq"] or line["silent"] or line["refused"])
        last = max(last, number)
        moments.append(at)
        if line["seq"] and number not in times:
            times[number] = float(line["ms"])
            answered.append(at)
    ends = [moments[0], *answered, moments[-1]] if moments else []
    gaps = [later - earlier for earlier, later in itertools.pairwise(ends)]
    summary = re.search(r"^(\d+) packets transmitted", said, re.MULTILINE)
    return Pings(
        sent=int(summary[1]) if summary else last,
        received=len(times),
        gap=max(gaps, default=0.0),
        typical=statistics.median(times.values()) if times else None,
    )
