"""Redfish in front of the lab's machines: the emulator of sushy-tools, and what it does not say.

The emulator has the resources and their addresses. A driver of ours tells it what our machines are
like; what it has as fixed text (serial numbers, models, whether an override is for once) is put
right in its answers. Each BMC shows its own machine and no other.
"""

import base64
import hmac
import json
import logging
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter
from sushy_tools import error
from sushy_tools.emulator import main
from sushy_tools.emulator.resources import vmedia
from sushy_tools.emulator.resources.systems.base import AbstractSystemsDriver
from werkzeug.test import EnvironBuilder, run_wsgi_app

from chapelle.lab import bmc_certificates
from chapelle.lab.bmc_machine import Answer, Board

SYSTEMS = "/redfish/v1/Systems"
ACCOUNTS = "/redfish/v1/AccountService"
OPEN = {"/redfish", "/redfish/v1"}
STORAGE = "1"
CD = "Cd"
FETCH_SECONDS = 30
MEMORY_GIB = 256
PROCESSORS = 2
FIRMWARE = {"bios": "2.4.1", "bmc": "7.10.30"}

_now = threading.local()


def _board() -> Board:
    """The BMC that is being asked, by this thread."""
    board: Board = _now.board
    return board


class Driver(AbstractSystemsDriver):  # type: ignore[misc,unused-ignore]
    """What the emulator asks of a machine. Names of methods are the emulator's."""

    @classmethod
    def initialize(cls, _config: Any, _logger: Any) -> type["Driver"]:
        """Nothing is to be prepared."""
        return cls

    @property
    def driver(self) -> str:
        """What it is."""
        return "<lab>"

    @property
    def systems(self) -> list[str]:
        """The one machine."""
        return [_board().machine.uuid]

    def uuid(self, identity: str) -> str:
        """The machine itself; it has no other names."""
        if identity != _board().machine.uuid:
            raise error.NotFound
        return identity

    def name(self, identity: str) -> str:
        """The machine's name."""
        self.uuid(identity)
        return _board().machine.name

    def get_power_state(self, identity: str) -> str:
        """Its power."""
        self.uuid(identity)
        return _board().power_state()

    def set_power_state(self, identity: str, state: str) -> None:
        """Change its power."""
        self.uuid(identity)
        try:
            _board().reset(state)
        except ValueError as wrong:
            raise error.BadRequest(f"ResetType {state} is not supported") from wrong

    def get_boot_device(self, identity: str) -> str:
        """What it boots from next."""
        self.uuid(identity)
        return _board().target

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        """Set by what is put right in requests."""

    def get_boot_mode(self, identity: str) -> str:
        """How it boots."""
        self.uuid(identity)
        return _board().mode

    def set_boot_mode(self, identity: str, boot_mode: str) -> None:
        """Set by what is put right in requests."""

    def get_secure_boot(self, identity: str) -> bool:
        """Whether secure boot is on."""
        self.uuid(identity)
        return _board().secure_boot

    def set_secure_boot(self, identity: str, secure: bool) -> None:
        """Take it up at the next start."""
        self.uuid(identity)
        _board().secure_boot_wanted = bool(secure)

    def get_total_memory(self, _identity: str) -> int:
        """GiB."""
        return MEMORY_GIB

    def get_total_cpus(self, _identity: str) -> int:
        """Sockets."""
        return PROCESSORS

    def get_bios(self, identity: str) -> dict[str, Any]:
        """The attributes that hold now."""
        self.uuid(identity)
        return _board().bios

    def set_bios(self, identity: str, attributes: Mapping[str, Any]) -> None:
        """Take attributes up at the next start; one that it has not is refused."""
        self.uuid(identity)
        board = _board()
        if unknown := set(attributes) - set(board.bios):
            raise error.BadRequest(f"no such attributes: {', '.join(sorted(unknown))}")
        board.pending |= attributes

    def get_versions(self, identity: str) -> dict[str, str]:
        """The version of its firmware."""
        self.uuid(identity)
        return {"BiosVersion": FIRMWARE["bios"]}

    def get_nics(self, identity: str) -> list[dict[str, str]]:
        """Its ports, numbered from 1."""
        self.uuid(identity)
        return [
            {"id": f"NIC.{number}", "mac": mac}
            for number, mac in enumerate(_board().seen().ports, start=1)
        ]

    def get_processors(self, identity: str) -> list[dict[str, str]]:
        """Its processors."""
        self.uuid(identity)
        chip = {"vendor": "Chapelle", "model": "Reference 32-core", "cores": "32", "threads": "64"}
        return [
            {**chip, "id": f"CPU{n}", "Id": f"CPU{n}", "socket": f"CPU {n}"}
            for n in range(1, PROCESSORS + 1)
        ]

    def set_boot_image(
        self, identity: str, device: str, boot_image: str | None = None, **_keywords: Any
    ) -> None:
        """Put what the emulator has fetched into the machine's drive; nothing empties it."""
        self.uuid(identity)
        if device == CD:
            _board().medium(Path(boot_image) if boot_image else None)


class Media(vmedia.StaticDriver):  # type: ignore[misc,unused-ignore]
    """The emulator's drives; what is put in is fetched from the BMC's own address."""

    def _get_image(self, image_url: str, *_unused: Any) -> tuple[str, str]:
        path = Path(tempfile.mkdtemp(dir=self._config["SUSHY_EMULATOR_STATE_DIR"])) / "image"
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy
                session.mount("http://", _From(_board().machine.address))
                answer = session.get(image_url, timeout=FETCH_SECONDS)
                answer.raise_for_status()
                path.write_bytes(answer.content)
        except requests.exceptions.RequestException as wrong:
            shutil.rmtree(path.parent)
            raise error.BadRequest(f"cannot fetch the image: {type(wrong).__name__}") from wrong
        return path.name, str(path)

    def eject_image(self, identity: str, device: str) -> None:
        """Forget the image, and its directory too."""
        kept = self._get_device(identity, device).get("_local_file")
        super().eject_image(identity, device)
        if kept:
            shutil.rmtree(Path(kept).parent, ignore_errors=True)


class _From(HTTPAdapter):
    """Connections from one address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        super().init_poolmanager(*arguments, **keywords, source_address=(self._address, 0))


class _Storage(Mapping[str, Any]):
    """The emulator's table of storage, which is looked up by machine."""

    def __getitem__(self, uuid: str) -> list[dict[str, Any]]:
        if uuid != _board().machine.uuid:
            raise KeyError(uuid)
        drives = [f"Disk.{n}" for n in range(1, len(_board().seen().disks) + 1)]
        return [{"Id": STORAGE, "Name": "Disks", "StorageControllers": [], "Drives": drives}]

    def __iter__(self) -> Iterator[str]:
        return iter([_board().machine.uuid])

    def __len__(self) -> int:
        return 1


class _Drives(Mapping[tuple[str, str], Any]):
    """The emulator's table of drives, by machine and storage."""

    def __getitem__(self, key: tuple[str, str]) -> list[dict[str, Any]]:
        if key != (_board().machine.uuid, STORAGE):
            raise KeyError(key)
        return [
            {"Id": f"Disk.{n}", "Name": f"Bay {n}", "CapacityBytes": disk.size, "Protocol": "SAS"}
            for n, disk in enumerate(_board().seen().disks, start=1)
        ]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(_board().machine.uuid, STORAGE)])

    def __len__(self) -> int:
        return 1


class Redfish:
    """Answers what a BMC is asked.

    Arguments:
        state: a directory for the emulator's own notes.
    """

    def __init__(self, state: Path) -> None:
        # The emulator's own choice of drivers is a fixed one.
        main.fakedriver.FakeDriver = Driver
        main.vmddriver.StaticDriver = Media
        main.app.configure(
            extra_config={
                "SUSHY_EMULATOR_FAKE_DRIVER": True,
                "SUSHY_EMULATOR_STATE_DIR": str(state),
                "SUSHY_EMULATOR_STORAGE": _Storage(),
                "SUSHY_EMULATOR_DRIVES": _Drives(),
            }
        )
        main.app.logger.setLevel(logging.ERROR)

    def answer(self, board: Board, method: str, path: str, login: str, body: bytes) -> Answer:
        """What the BMC answers.

        Arguments:
            board: the BMC.
            method: of the request.
            path: of the request.
            login: its header Authorization.
            body: of the request.
        """
        clean = path.partition("?")[0].rstrip("/")
        wanted = base64.b64encode(f"{board.login.user}:{board.login.password}".encode())
        known = hmac.compare_digest(login.encode(), b"Basic " + wanted)
        if clean not in OPEN and not known:
            return Answer(401, (("WWW-Authenticate", 'Basic realm="Redfish"'),))
        with board.lock:
            _now.board = board
            if method == "PATCH" and re.fullmatch(f"{SYSTEMS}/[^/]+", clean):
                boot = _json(body).get("Boot") or {}
                board.override(
                    boot.get("BootSourceOverrideTarget"),
                    boot.get("BootSourceOverrideEnabled"),
                    boot.get("BootSourceOverrideMode"),
                )
                return Answer(204)
            if clean.startswith(ACCOUNTS):
                return _account(board, method, clean, body)
            if method == "POST" and "/VirtualMedia/" in clean:
                if "stuck-drive" in board.faults:
                    return Answer(204)
                if "picky-drive" in board.faults and (missing := _missed(clean, body)):
                    return missing
            answer = bmc_certificates.answer(board, method, clean, _json(body))
            return answer or self._emulated(board, method, path, clean, body)

    def _emulated(self, board: Board, method: str, path: str, clean: str, body: bytes) -> Answer:
        given = {"data": body, "content_type": "application/json"} if body else {}
        environ = EnvironBuilder(path=path, method=method, **given).get_environ()  # type: ignore[arg-type]
        chunks, status, headers = run_wsgi_app(main.app.wsgi_app, environ, buffered=True)
        content = b"".join(chunks)
        code = int(status.split()[0])
        if method == "GET" and code == 200 and (right := _put_right(board, clean)):
            content = json.dumps({**json.loads(content), **right}).encode()
        kept = tuple((k, v) for k, v in headers if k.lower() in {"content-type", "location"})
        return Answer(code, kept, content)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _missed(path: str, body: bytes) -> Answer | None:
    """What a BMC answers that wants more said of a medium than DSP0268 does."""
    if path.endswith("EjectMedia"):
        return None if body else Answer(415)
    if "TransferProtocolType" in _json(body):
        return None
    more = [{"RelatedProperties": ["#/TransferProtocolType"]}]
    told = {"code": "Base.1.8.ActionParameterMissing", "@Message.ExtendedInfo": more}
    content = json.dumps({"error": told}).encode()
    return Answer(400, (("Content-Type", "application/json"),), content)


def _account(board: Board, method: str, path: str, body: bytes) -> Answer:
    """The service for accounts, which has one."""
    place = f"{ACCOUNTS}/Accounts/1"
    resources: dict[str, dict[str, Any]] = {
        ACCOUNTS: {"Accounts": {"@odata.id": f"{ACCOUNTS}/Accounts"}},
        f"{ACCOUNTS}/Accounts": {"Members": [{"@odata.id": place}]},
        place: {"Id": "1", "UserName": board.login.user, "Password": None, "Enabled": True},
    }
    if path not in resources:
        return Answer(404)
    if method == "PATCH" and path == place:
        if "stuck-password" not in board.faults:
            password = str(_json(body).get("Password") or board.login.password)
            board.login = msgspec.structs.replace(board.login, password=password)
        return Answer(204)
    content = json.dumps({"@odata.id": path, **resources[path]}).encode()
    return Answer(200, (("Content-Type", "application/json"),), content)


def _put_right(board: Board, path: str) -> dict[str, Any]:
    """What is otherwise in an answer than the emulator says."""
    seen = board.seen()
    if path == "/redfish/v1":
        return {"AccountService": {"@odata.id": ACCOUNTS}}
    if re.fullmatch(f"{SYSTEMS}/[^/]+", path):
        return {
            "Manufacturer": seen.manufacturer,
            "Model": seen.model,
            "SerialNumber": seen.serial,
            "Oem": {"Chapelle": {"Booted": board.booted}},
            "Boot": {
                "BootSourceOverrideEnabled": board.enabled,
                "BootSourceOverrideTarget": board.target,
                "BootSourceOverrideTarget@Redfish.AllowableValues": [
                    "None", "Pxe", "Cd", "Hdd", "UefiHttp",
                ],
                "BootSourceOverrideMode": board.mode,
            },
        }  # fmt: skip
    if re.fullmatch(f"{SYSTEMS}/[^/]+/BIOS/Settings", path):
        return {"Attributes": board.bios | board.pending}
    if re.fullmatch("/redfish/v1/Managers/[^/]+", path):
        return {"FirmwareVersion": FIRMWARE["bmc"], **bmc_certificates.of_manager(path)}
    drive = re.fullmatch(f"{SYSTEMS}/[^/]+/Storage/{STORAGE}/Drives/Disk.([0-9]+)", path)
    if drive and 0 < int(drive[1]) <= len(seen.disks):
        disk = seen.disks[int(drive[1]) - 1]
        return {"SerialNumber": disk.serial, "Model": disk.model, "PartNumber": disk.model}
    return {}
