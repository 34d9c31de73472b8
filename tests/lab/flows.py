"""What is lost of sixteen flows of packets between two nodes while something happens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chapelle.lab import faults
from chapelle.settings import Settings

# Sixteen flows of UDP, which take all ways that there are, and back: a packet of each every 0.1 s.
# Prints packets sent, packets lost, flows that lost any, and the longest time without an answer.
FLOWS = """
import os, select, socket, sys, time
def ended():
    return os.path.exists("/run/enough")
if sys.argv[1] == "listen":
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", 7777))
    server.settimeout(1)
    while not ended():
        try:
            data, peer = server.recvfrom(64)
            server.sendto(data, peer)
        except OSError:
            pass
    sys.exit()
flows = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
for flow in flows:
    flow.bind((sys.argv[2] if len(sys.argv) > 2 else "", 0))
    flow.connect((sys.argv[1], 7777))
last = {flow: time.monotonic() for flow in flows}
sent, got, gap = dict.fromkeys(flows, 0), dict.fromkeys(flows, 0), 0.0
def listen(seconds):
    global gap
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for flow in select.select(flows, [], [], left)[0]:
            try:
                flow.recv(64)
            except OSError:
                continue
            now = time.monotonic()
            gap, last[flow] = max(gap, now - last[flow]), now
            got[flow] += 1
while not ended():
    for flow in flows:
        try:
            flow.send(b"x")
        except OSError:
            pass
        sent[flow] += 1
    listen(0.1)
listen(1)
gap = max(gap, *(time.monotonic() - 1 - last[flow] for flow in flows))
lost = {flow: max(0, sent[flow] - got[flow]) for flow in flows}
print(sum(sent.values()), sum(lost.values()), sum(map(bool, lost.values())), f"{gap:.2f}")
"""
SOON = 15.0  # seconds without an answer that nobody would call an outage


def reaches(settings: Settings, name: str, address: str, options: str = "") -> bool:
    """Whether a node gets all answers to its echo requests."""
    said = faults.run(settings, name, f"ping -c3 -i0.2 -W1 {options} {address} || :")
    return " 0% packet loss" in said


@dataclass
class Heard:
    """What became of the packets; `gap` is the longest time without an answer, in seconds."""

    sent: int = 0
    lost: int = 0
    flows: int = 0
    gap: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Two nodes that talk: `one` sends to the `address` of the `other`, from its own `source`."""

    settings: Settings
    one: str
    other: str
    address: str
    source: str = ""

    @contextmanager
    def during(self, what: str) -> Iterator[Heard]:
        """While this lasts they talk; what became of it is printed, and known afterwards.

        Nothing that happens meanwhile may keep answers away for long.
        """
        start = (
            f"cat >/run/flows.py <<'END'\n{FLOWS}END\n"
            "rm -f /run/enough; setsid python3 /run/flows.py"
        )
        faults.run(self.settings, self.other, f"{start} listen >/dev/null 2>&1 &")
        faults.run(
            self.settings, self.one, f"{start} {self.address} {self.source} >/run/flows 2>&1 &"
        )
        time.sleep(3)
        heard = Heard()
        yield heard
        time.sleep(3)
        said = faults.run(self.settings, self.one, "touch /run/enough; sleep 3; cat /run/flows")
        faults.run(self.settings, self.other, "touch /run/enough")
        sent, lost, flows, gap = said.split()
        heard.sent, heard.lost, heard.flows, heard.gap = (
            int(sent),
            int(lost),
            int(flows),
            float(gap),
        )
        print(f"{what}: {lost} of {sent} packets lost, on {flows} of 16 flows, {gap} s at most")
        assert heard.gap < SOON
