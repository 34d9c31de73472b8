"""What a server is made of, as somebody saw it; and what is known of how models differ.

`Hardware` says nothing of who looked: a BMC that was asked over Redfish, or the installer on the
server itself. `Quirks` is `inventory/hardware-quirks.yml`.
"""

from typing import Annotated, Literal

import msgspec

from chapelle.errors import InputError

Source = Literal["bmc", "host"]

# Settings of a server's firmware as we name them; what each vendor calls them is a quirk.
Setting = Literal[
    "boot-mode", "tpm", "secure-boot", "multithreading", "serial-console", "after-power-loss"
]
BootSource = Literal["network", "http", "disk", "cd"]
BootMode = Literal["uefi", "bios"]
# How a server is brought to load the installer: PXE, UEFI HTTP boot, or virtual media.
BootWay = Literal["network", "http", "cd"]
Field = Literal["manufacturer", "model", "disk-size", "port-name"]

QUIRKS = "inventory/hardware-quirks.yml"

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
_Seconds = Annotated[int, msgspec.Meta(ge=1, le=7200)]


class NetworkPort(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A network port: NetBox's name for it where that is known, and its burnt-in MAC address."""

    name: str
    mac: str


class Disk(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A disk; `size` in bytes, 0 where it was not said. `name` is that of the bay or device."""

    serial: str
    name: str = ""
    size: int = 0
    model: str = ""


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """A server as it was seen; text is empty and numbers are 0 where nothing was said.

    `memory` is in GiB, `firmware` holds versions by the name of what runs them.
    """

    source: Source
    serial: str
    manufacturer: str = ""
    model: str = ""
    ports: tuple[NetworkPort, ...] = ()
    disks: tuple[Disk, ...] = ()
    processors: int = 0
    processor: str = ""
    memory: int = 0
    firmware: dict[str, str] = {}


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """What one of our settings is called in a firmware, and what its values are called there."""

    values: dict[str, str | bool | int]
    attribute: str = ""
    resource: Literal["bios", "secure-boot"] = "bios"


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Which of Redfish's types of reset do what (DSP2046, ResetType)."""

    on: str = "On"
    off: str = "ForceOff"
    graceful: str = "GracefulShutdown"


class CertificateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a BMC is told when it is to make a key and a request for a certificate.

    DSP2046, CertificateService, GenerateCSR. The first five it must be told, and says in its
    request; `algorithm`, `bits` and `curve` are Redfish's words for the key, and it chooses where
    they are empty. One with `restart` serves a new certificate only after it was restarted.
    """

    country: _Country
    state: _Name
    city: _Name
    organization: _Name
    unit: _Name
    algorithm: str = ""
    bits: int = 0
    curve: str = ""
    restart: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: for one answer, for power to change, for a graceful shutdown, for settings.

    `certificate` is for a BMC to make a key, and to serve a certificate that it was given.
    """

    answer: _Seconds = 30
    power: _Seconds = 120
    shutdown: _Seconds = 600
    settings: _Seconds = 900
    certificate: _Seconds = 300


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """How the BMCs of some models are spoken to.

    `targets` are the words for where to boot from, `modes` those for how, `certificate` what it is
    told when it asks for a certificate. A BMC that cannot keep a connection open has `keep_alive`
    false.
    """

    targets: dict[str, str]
    modes: dict[str, str]
    settings: dict[str, Translation]
    certificate: CertificateRequest
    reset: Reset = Reset()
    seconds: Limits = Limits()
    keep_alive: bool = True


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model, named as the device type in NetBox is.

    `says` is what the hardware calls itself, where that is not NetBox's word; `ports` are NetBox's
    names of ports by those of the BMC; `unreliable` are fields of the BMC that are wrong in all
    servers of the model, and are not judged. `wanted` is the desired state of its settings. `boot`
    is how its servers load the installer, where that is not as `inventory/deploy.yml` has it.
    """

    manufacturer: _Name
    model: _Name
    family: _Name
    says: dict[str, str] = {}
    ports: dict[str, str] = {}
    unreliable: tuple[Field, ...] = ()
    wanted: dict[str, str] = {}
    boot: BootWay | None = None


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `inventory/hardware-quirks.yml`."""

    families: dict[str, Family]
    models: tuple[Model, ...]

    def of(self, manufacturer: str, model: str) -> Model:
        """What is known of a model.

        Raises:
            InputError: nothing is.
        """
        for known in self.models:
            if (known.manufacturer, known.model) == (manufacturer, model):
                return known
        raise InputError(
            f"Nothing is known of the hardware {manufacturer} {model}.",
            where=QUIRKS,
            expected="an entry of models with this manufacturer and model, as in NetBox",
            found="none",
            remedy="add one; its family says how its BMC is spoken to",
        )

    def family(self, model: Model) -> Family:
        """How the BMC of a model is spoken to; whoever read the file has seen that it is there."""
        return self.families[model.family]
