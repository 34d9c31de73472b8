"""How servers are brought up from nothing: `inventory/deploy.yml`, read strictly."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from chapelle import strict
from chapelle.strict.problems import ProblemsError

FILE = "inventory/deploy.yml"

_Count = Annotated[int, msgspec.Meta(ge=1, le=9)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Seconds = Annotated[int, msgspec.Meta(ge=10, le=86400)]
_Thumbprint = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Encryption(msgspec.Struct, frozen=True, kw_only=True):
    """What opens disks: so many Tang servers, on a TCP port, and the TPM.

    `thumbprints` are those of the servers' signing keys, by address.
    """

    threshold: _Count
    tpm2: bool
    port: _Port
    thumbprints: dict[str, _Thumbprint]


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """How long a server may be silent: before the installer, in it, and after it."""

    boot: _Seconds
    silent: _Seconds
    first_boot: _Seconds


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `inventory/deploy.yml`."""

    encryption: Encryption
    boot_source: Literal["network", "http"]
    seconds: Seconds


def read(path: Path) -> Policy:
    """Read the file.

    Raises:
        InputError: it cannot be read, or has mistakes; all are named.
    """
    found, problems = strict.read(path, Policy)
    if problems:
        raise ProblemsError("How servers are brought up", problems, f"mend {path}")
    policy: Policy = found
    return policy
