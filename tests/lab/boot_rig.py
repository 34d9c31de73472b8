"""A site of network namespaces for the boot service, and machines that ask it as firmware does.

A machine is a namespace with one port; its DHCP and TFTP clients are busybox's.
"""

import contextlib
import datetime
import hashlib
import http.client
import os
import re
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from chapelle.drivers.boot import BootService, Place
from chapelle.lab import wires
from chapelle.model.boot import BootEvent, BootFile, BootWindow

SERVER = "10.64.2.1"
NETWORK = "10.64.2.0/24"
HOST, ADDRESS = "compute-a2-01", "10.64.2.11"
MACS = ("02:c4:02:00:01:01", "02:c4:02:00:01:02")
OTHER, OTHER_MAC = "compute-a2-02", "02:c4:02:00:02:01"
STRANGER = "02:ff:ff:ff:ff:01"

NAMES = {**dict.fromkeys(MACS, HOST), OTHER_MAC: OTHER}

# What a firmware says of itself (RFC 4578): architecture, vendor class, user class.
BIOS = ("-x", "0x5d:0000", "-V", "PXEClient:Arch:00000:UNDI:002001")
UEFI = ("-x", "0x5d:0007", "-V", "PXEClient:Arch:00007:UNDI:003016")
HTTP = ("-x", "0x5d:0010", "-V", "HTTPClient:Arch:00016:UNDI:003001")
IPXE = ("-x", "0x5d:0007", "-V", "PXEClient:Arch:00007:UNDI:003016", "-x", "0x4d:69505845")

_TOLD = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
ip route replace default via $router
env
"""


class Namespace:
    """A network namespace, as long as this is open."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.path = Path(f"/proc/{self.process.pid}/ns/net")
        own = Path("/proc/self/ns/net").readlink()
        while self.path.readlink() == own:
            time.sleep(0.01)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> None:
        self.run("ip", *words)

    def run(self, *words: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *words],
            capture_output=True, text=True, timeout=30, check=False, cwd=cwd,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Machine(Namespace):
    """A machine whose port has that MAC address, cabled to the site's bridge."""

    def __init__(self, site: "Site", mac: str) -> None:
        super().__init__()
        self._site = site
        far = f"m{site.next_number()}"
        site.ip("link", "add", far, "type", "veth", "peer", "name", "eno1",
                "address", mac, "netns", str(self.process.pid))  # fmt: skip
        site.ip("link", "set", far, "master", "br0", "up")
        self.ip("link", "set", "eno1", "up")

    def dhcp(self, *who: str, tries: int = 3) -> dict[str, str]:
        """What DHCP gives, as busybox names it; empty without an answer. The address is taken."""
        said = self.run(
            "busybox", "udhcpc", "-i", "eno1", "-f", "-q", "-n", "-t", str(tries), "-T", "1",
            "-s", str(self._site.script), "-O", "bootfile", *who, check=False,
        )  # fmt: skip
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def tftp(self, name: str, folder: Path) -> bytes | None:
        """A file by TFTP; None if it is not given."""
        self.run("busybox", "tftp", "-g", "-r", name, "-l", "got", SERVER, cwd=folder, check=False)
        path = folder / "got"
        return path.read_bytes() if path.exists() and path.stat().st_size else None

    def connect(self, url: str, authority: bytes = b"") -> http.client.HTTPConnection:
        """A connection to where a URL leads, made in the machine."""
        parts = urllib.parse.urlsplit(url)
        host, port = str(parts.hostname), int(parts.port or 0)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            if authority:
                context.load_verify_locations(cadata=authority.decode())
            else:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=20, context=context
            )
        else:
            made = http.client.HTTPConnection(host, port, timeout=20)
        namespace = os.open(self.path, os.O_RDONLY)
        try:
            with wires.entered(namespace):
                made.connect()
        finally:
            os.close(namespace)
        return made

    def request(
        self,
        url: str,
        *,
        body: bytes | None = None,
        authority: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one request."""
        with contextlib.closing(self.connect(url, authority)) as connection:
            path = urllib.parse.urlsplit(url).path
            connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()


class Site(Namespace):
    """The namespace of the boot service, with a bridge that machines are cabled to."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.events: list[BootEvent] = []
        self._number = 0
        self.script = folder / "udhcpc.sh"
        self.script.write_text(_TOLD)
        self.script.chmod(0o755)
        self.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0")
        self.ip("addr", "add", f"{SERVER}/24", "dev", "br0")
        self.ip("link", "set", "br0", "up")
        self._machines: list[Machine] = []

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def machine(self, mac: str) -> Machine:
        self._machines.append(Machine(self, mac))
        return self._machines[-1]

    def place(self, **changes: object) -> Place:
        place = Place(
            run=Path(f"/run/chap-{os.getpid()}.boot"), address=SERVER, networks=(NETWORK,),
            interfaces=("br0",), namespace=self.path,
        )  # fmt: skip
        return msgspec.structs.replace(place, **changes)

    @contextlib.contextmanager
    def service(self) -> Iterator[BootService]:
        self.events.clear()
        with BootService(self.place(), NAMES, self.events.append) as service:
            yield service

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def close(self) -> None:
        for machine in self._machines:
            machine.close()
        super().close()


def file(path: Path, content: bytes) -> BootFile:
    path.write_bytes(content)
    return BootFile(path=path, sha256=hashlib.sha256(content).hexdigest())


def window(folder: Path, **changes: object) -> BootWindow:
    """A boot window of HOST with small files."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    made = BootWindow(
        host=HOST, macs=MACS, address=f"{ADDRESS}/24", gateway=SERVER, expires=soon,
        kernel=file(folder / "kernel", b"K" * 300_000),
        initrd=file(folder / "initrd", b"I" * 500_000),
        files={"image.tar.zst": file(folder / "image", bytes(range(256)) * 12_000)},
        command_line="console=ttyS0",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def arguments(script: bytes) -> dict[str, str]:
    """What iPXE would do by a script: the URLs, and the kernel's arguments."""
    kernel = re.search(rb"^kernel --name kernel (\S+) (.*) \|\|", script, re.MULTILINE)
    initrd = re.search(rb"^initrd --name initrd (\S+)", script, re.MULTILINE)
    assert kernel is not None
    assert initrd is not None
    words = dict(word.split("=", 1) for word in kernel[2].decode().split() if "=" in word)
    return {**words, "kernel": kernel[1].decode(), "initrd": initrd[1].decode()}


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
