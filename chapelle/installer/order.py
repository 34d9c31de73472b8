"""The order, as chapelle/model/deploy.py writes it, read with the standard library alone.

Only what the installer uses is here. A field that is missing or has another type is an error: an
order is never half understood.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any


class OrderError(Exception):
    """The order is none that this installer understands."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """A network port: name, MAC address, and the switch port it is cabled to (or empty)."""

    name: str
    mac: str
    switch: str
    switch_port: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine as NetBox has it."""

    serial: str
    manufacturer: str
    model: str
    ports: tuple[Port, ...]


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A disk as NetBox has it, and what may be done to it."""

    name: str
    serial: str
    size_gb: int
    purpose: str
    action: str
    mark: str
    may_hold: tuple[str, ...]
    label: str
    mount: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the OS disks are divided, in MiB."""

    esp_mib: int
    boot_mib: int
    root_filesystem: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """The root image: path, SHA-256 and size in bytes of the compressed file."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class File:
    """A text file for the new system."""

    path: str
    content: str
    mode: int


@dataclass(frozen=True, kw_only=True)
class BootNetwork:
    """The link over which the initramfs reaches the Tang servers."""

    mac: str
    address: str
    gateway: str
    vlan: int | None


@dataclass(frozen=True, kw_only=True)
class Tang:
    """A Tang server and the thumbprint of its signing key."""

    url: str
    thumbprint: str


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """How disks are unlocked; the passphrase is not shown."""

    passphrase: str = dataclasses.field(repr=False)
    tang: tuple[Tang, ...]
    threshold: int
    tpm2: bool


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A host key with its certificate; the private part is not shown."""

    private: str = dataclasses.field(repr=False)
    public: str
    certificate: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the new system is."""

    hostname: str
    fqdn: str
    machine_id: str
    host_keys: tuple[HostKey, ...]
    user_authority: str
    files: tuple[File, ...]


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """A disk to be erased, and how."""

    serial: str
    order: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that the installer needs to know of one host."""

    host: str
    run: str
    mode: str
    machine: Machine
    disks: tuple[Disk, ...]
    layout: Layout
    image: Image | None
    identity: Identity | None
    network: BootNetwork | None
    encryption: Encryption | None
    erasures: tuple[Erasure, ...]
    console: str
    lldp_seconds: int
    reboot: bool

    def of(self, *actions: str) -> list[Disk]:
        """The disks on which one of these actions is permitted."""
        return [disk for disk in self.disks if disk.action in actions]


def read(text: bytes) -> Order:
    """Read an order.

    Raises:
        OrderError: it is none; the message names the field.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise OrderError(f"no JSON: {error}") from error
    order = _convert(value, Order, "order")
    if order.mode not in {"build", "rebuild", "erase"}:
        raise OrderError(f"order.mode: no such mode: {order.mode!r}")
    if order.mode != "erase" and None in (order.image, order.identity, order.encryption):
        raise OrderError(f"order: image, identity and encryption are needed for mode {order.mode}")
    return typing.cast("Order", order)


def _convert(value: Any, kind: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        kind = next(each for each in arguments if each is not type(None))
        return _convert(value, kind, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise OrderError(f"{where}: a list expected, {type(value).__name__} found")
        return tuple(
            _convert(each, arguments[0], f"{where}[{number}]") for number, each in enumerate(value)
        )
    if dataclasses.is_dataclass(kind):
        return _object(value, kind, where)
    plain = origin or kind
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise OrderError(f"{where}: {plain.__name__} expected, {type(value).__name__} found")
    return value


def _object(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise OrderError(f"{where}: an object expected, {type(value).__name__} found")
    hints = typing.get_type_hints(kind)
    missing, unknown = hints.keys() - value.keys(), value.keys() - hints.keys()
    if missing or unknown:
        names = ", ".join(sorted(missing or unknown))
        raise OrderError(f"{where}: {'missing' if missing else 'not understood'}: {names}")
    return kind(
        **{name: _convert(value[name], hint, f"{where}.{name}") for name, hint in hints.items()}
    )
