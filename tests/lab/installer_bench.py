"""A virtual machine and what it needs to install itself: a boot service, Tang servers, a TPM.

The boot service here is a stand-in that serves one order; Tang and the TPM are real (package tang,
swtpm). The machine reaches them through QEMU's own network: nothing leaves this machine.
"""

import contextlib
import datetime
import hashlib
import ipaddress
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chapelle.drivers.image import Built
from chapelle.drivers.image.ramdisk import INITRAMFS, KERNEL
from chapelle.drivers.image.root import TAR
from chapelle.lab import ca
from chapelle.model import deploy
from chapelle.settings import Settings

# How a machine behind QEMU's own network sees this one, and the address that it has there.
HERE = "10.0.2.2"
ADDRESS = "10.0.2.15/24"

NETWORK_FILE = "/etc/systemd/network/10-chapelle-eno1.network"

HOST = "a2-r01-compute-01"
SERIAL, MAKER, MODEL = "SN-4711", "Example", "Server 1000"
MACS = {"eno1": "52:54:00:12:34:01", "eno2": "52:54:00:12:34:02"}
DISKS = {"os-1": "OS-SERIAL-1", "os-2": "OS-SERIAL-2", "data-1": "DATA-SERIAL-1"}
PASSPHRASE = "correct-horse-battery-staple"
SECRETS = (PASSPHRASE, "OPENSSH PRIVATE KEY")
DISK_GB = 5

PROGRAMS = ("qemu-system-x86_64", "qemu-img", "swtpm", "jose", "ssh")
TANG = Path("/usr/libexec/tangd")
OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = OVMF.with_name("OVMF_VARS_4M.fd")


def missing() -> str:
    """What of the programs is not on this machine."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return ", ".join([*lacking, *(path.name for path in (TANG, OVMF) if not path.exists())])


class Files(Protocol):
    """Where a kernel and a ramdisk are, by the names that they have in our images."""

    def file(self, name: str) -> Path: ...


class Tang:
    """A real Tang server on a port of this machine, that can be taken away and brought back."""

    def __init__(self, keys: Path) -> None:
        keys.mkdir(parents=True)
        subprocess.run([TANG.with_name("tangd-keygen"), keys], check=True, capture_output=True)
        self._keys = keys
        self._server: socketserver.ThreadingTCPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Answer, on the same port as before."""
        keys = self._keys

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with self.request.makefile("rwb", buffering=0) as both:
                    subprocess.run([TANG, keys], stdin=both, stdout=both, check=False)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def ordered(self) -> deploy.Tang:
        """As an order has it."""
        for path in self._keys.glob("*.jwk"):
            if "verify" in json.loads(path.read_text())["key_ops"]:
                print_ = subprocess.run(
                    ["jose", "jwk", "thp", "-a", "S256", "-i", path],
                    capture_output=True, text=True, check=True,
                ).stdout.strip()  # fmt: skip
                return deploy.Tang(url=f"http://{HERE}:{self.port}", thumbprint=print_)
        raise AssertionError("tangd-keygen made no signing key")


class Handler(BaseHTTPRequestHandler):
    """One request to the boot service."""

    protocol_version = "HTTP/1.1"
    service: "Service"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        name = self.path.removeprefix("/token/")
        if not self.service.interfere(name):
            self.close_connection = True
        elif name == TAR:
            self.range()
        elif name in self.service.files:
            self.answer(200, self.service.files[name])
        else:
            self.answer(404)

    def range(self) -> None:
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        left = last + 1 - first
        self.send_response(206)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        with self.service.image.open("rb") as file, contextlib.suppress(OSError):
            file.seek(first)
            while left and (data := file.read(min(left, 1 << 20))):
                if not self.service.interfere(f"at {file.tell()}"):
                    self.close_connection = True
                    return
                self.wfile.write(data)
                left -= len(data)

    def do_POST(self) -> None:
        name = self.path.removeprefix("/token/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.service.interfere(name):
            self.close_connection = True
            return
        with self.service.told:
            if name == "report":
                self.service.raw.append(body)
                self.service.reports.append(msgspec.json.decode(body, type=deploy.Report))
            elif name.startswith("header/"):
                self.service.headers[name.removeprefix("header/")] = body
            self.service.told.notify_all()
        self.answer(204)


class Service:
    """Serves one order and the root image over TLS, and keeps what is reported."""

    def __init__(self, folder: Path, image: Path, here: str = HERE) -> None:
        self.folder, self.image = folder, image
        self.reports: list[deploy.Report] = []
        self.headers: dict[str, bytes] = {}
        self.told = threading.Condition()
        # A request is let through if this says so; it may do something first.
        self.interfere: Callable[[str], bool] = lambda _path: True
        self.raw: list[bytes] = []
        pem = _certificate(folder, here)
        self.files = {"ca.pem": pem}
        self.authority = hashlib.sha256(pem).hexdigest()
        handler = type("Bound", (Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://{here}:{self._server.server_address[1]}/token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def begin(self, order: deploy.Order) -> None:
        """Serve this order; what was reported of another is forgotten."""
        self.files["order"] = msgspec.json.encode(order)
        self.reports.clear()
        self.headers.clear()
        self.interfere = lambda _path: True

    def last(self) -> deploy.Report:
        return self.reports[-1]

    def wait_for(self, stage: str, seconds: float) -> deploy.Report:
        """Wait until a stage is reported (or the end of all)."""
        with self.told:
            self.told.wait_for(
                lambda: any(r.stage == stage or r.outcome != "running" for r in self.reports),
                seconds,
            )
            return self.last()


def _certificate(folder: Path, here: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "boot service")])
    # Long over: what the installer knows it by is its digest.
    end = datetime.datetime(2001, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=1))
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(here))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(private + pem)
    return pem


class Machine:
    """A virtual machine with two OS disks and a data disk; its TPM is kept between starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uefi = False
        self.disks = {name: folder / f"{name}.qcow2" for name in DISKS}
        self.serial = SERIAL
        self.macs = dict(MACS)
        self.absent: set[str] = set()
        self.ssh_port = _free_port()
        self._qemu: subprocess.Popen[bytes] | None = None
        self._tpm: subprocess.Popen[bytes] | None = None
        self._consoles = 0
        for path in self.disks.values():
            new_image(path)
        shutil.copyfile(VARIABLES, folder / "vars.fd")

    def start(self, ramdisk: Files | None = None, append: str = "") -> None:
        """Switch it on: with a kernel and ramdisk, or from its disks."""
        assert self._qemu is None
        self._consoles += 1
        command = [
            "nice", "-n", "19",
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi",
            "-cpu", "max",
            "-m", "1536", "-smp", "2", "-display", "none", "-no-reboot", "-monitor", "none",
            "-serial", f"file:{self.console}",
            "-smbios", f"type=1,manufacturer={MAKER},product={MODEL},serial={self.serial}",
            "-netdev", f"user,id=n1,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22",
            "-netdev", "user,id=n2,restrict=on",
            "-device", f"virtio-net-pci,netdev=n1,mac={self.macs['eno1']},romfile=",
            "-device", f"virtio-net-pci,netdev=n2,mac={self.macs['eno2']},romfile=",
        ]  # fmt: skip
        for name, serial in DISKS.items():
            if name not in self.absent:
                drive = f"file={self.disks[name]},if=none,id={name},cache=unsafe"
                drive += ",discard=unmap,detect-zeroes=unmap"
                command += [
                    "-drive",
                    drive,
                    "-device",
                    f"virtio-blk-pci,drive={name},serial={serial}",
                ]
        command += self._start_tpm()
        if self.uefi:
            command += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}"]
            command += ["-drive", f"if=pflash,format=raw,file={self.folder}/vars.fd"]
        if ramdisk:
            command += [
                "-kernel",
                str(ramdisk.file(KERNEL)),
                "-initrd",
                str(ramdisk.file(INITRAMFS)),
            ]
            command += ["-append", append]
        errors = (self.folder / "qemu.log").open("ab")
        self._qemu = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        )

    def _start_tpm(self) -> list[str]:
        state, path = self.folder / "tpm", self.folder / "tpm.sock"
        state.mkdir(exist_ok=True)
        self._tpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl",
             f"type=unixio,path={path}", "--terminate", "--flags", "startup-clear"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not path.exists():
            time.sleep(0.05)
        return [
            "-chardev", f"socket,id=tpm,path={path}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
            "-device", "tpm-crb,tpmdev=tpm0",
        ]  # fmt: skip

    @property
    def console(self) -> Path:
        """What the machine wrote to its serial console since it was switched on."""
        return self.folder / f"console-{self._consoles}.log"

    def said(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_off(self, seconds: float) -> None:
        """Wait until it has switched itself off, or would have restarted."""
        assert self._qemu is not None
        try:
            self._qemu.wait(seconds)
        except subprocess.TimeoutExpired:
            self.cut()
            raise AssertionError(f"still on after {seconds} s:\n{self.said()[-3000:]}") from None
        self._gone()

    def cut(self) -> None:
        """Take the power away."""
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
        self._gone()

    def _gone(self) -> None:
        self._qemu = None
        if self._tpm:
            self._tpm.terminate()
            self._tpm.wait()
            self._tpm = None
            (self.folder / "tpm.sock").unlink(missing_ok=True)

    def wait_said(self, words: str, seconds: float, *, times: int = 1) -> None:
        """Wait until the console has said something, so many times."""
        end = time.monotonic() + seconds
        while self.said().count(words) < times:
            assert time.monotonic() < end, f"{words!r} was not said:\n{self.said()[-3000:]}"
            time.sleep(1)

    def wait_for_ssh(self, settings: Settings, seconds: float) -> None:
        """Wait until it answers with the host key that we signed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.ssh(settings, "true", check=False)
            if result.returncode == 0:
                return
            time.sleep(1)
        raise AssertionError(f"no SSH after {seconds} s: {result.stderr}\n{self.said()[-3000:]}")

    def ssh(
        self, settings: Settings, command: str, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it as root, through the account `deploy`."""
        home = ca.folder(settings)
        words = [
            "ssh", "-F", "none", "-p", str(self.ssh_port), "-i", str(home / "id_ed25519"),
            "-o", f"CertificateFile={home}/id_ed25519-cert.pub", "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "StrictHostKeyChecking=yes",
            "-o", "GlobalKnownHostsFile=/dev/null", "-o", f"HostKeyAlias={HOST}",
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
            f"{ca.PRINCIPAL}@127.0.0.1", f"sudo sh -euc '{command}'",
        ]  # fmt: skip
        return subprocess.run(
            words, capture_output=True, text=True, check=check, timeout=60, env={"PATH": "/usr/bin"}
        )


def new_image(path: Path) -> None:
    """Make an empty disk."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", path, str(DISK_GB * 10**9)], check=True
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def order(
    settings: Settings,
    image: Built,
    tangs: list[Tang],
    *,
    mode: deploy.Mode = "build",
) -> deploy.Order:
    """The order for the machine."""
    ca.ensure(settings)
    key = ca.HostSigner(ca.folder(settings)).new([HOST])
    stored = image.manifest.files[TAR]
    network = "[Match]\nName=eno1\n[Network]\nAddress=" + ADDRESS + "\nGateway=10.0.2.2\n"
    actions: dict[str, deploy.Action] = {
        "os-1": "write", "os-2": "write", "data-1": "format" if mode == "build" else "mount"
    }  # fmt: skip
    return deploy.Order(
        host=HOST,
        run="20261127-1",
        mode=mode,
        machine=deploy.Machine(
            serial=SERIAL, manufacturer=MAKER, model=MODEL,
            ports=tuple(deploy.Port(name=name, mac=mac) for name, mac in MACS.items()),
        ),
        disks=tuple(
            deploy.Disk(
                name=name, serial=serial, size_gb=DISK_GB,
                purpose="data" if name == "data-1" else "os",
                action=actions[name], mark=deploy.mark(HOST, serial),
                label="data-01" if name == "data-1" else "",
                mount="/srv/data-01" if name == "data-1" else "",
            )
            for name, serial in DISKS.items()
        ),
        layout=deploy.Layout(esp_mib=64, boot_mib=512),
        image=deploy.Image(path=TAR, sha256=stored.sha256, size=stored.size),
        identity=deploy.Identity(
            hostname=HOST, fqdn=f"{HOST}.chapelle.internal", machine_id="0123456789abcdef" * 2,
            host_keys=(deploy.HostKey(
                private=key.private.decode(), public=key.public.decode(),
                certificate=key.certificate.decode(),
            ),),
            user_authority=ca.HostSigner(ca.folder(settings)).user_authority.decode(),
            files=(deploy.File(path=NETWORK_FILE, content=network),),
        ),
        network=deploy.BootNetwork(mac=MACS["eno1"], address=ADDRESS, gateway=HERE),
        encryption=deploy.Encryption(
            passphrase=PASSPHRASE, tang=tuple(tang.ordered for tang in tangs), tpm2=True
        ),
        lldp_seconds=0,
    )  # fmt: skip
