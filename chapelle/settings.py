"""Where this installation keeps its things and whom it talks to: environment only, read once.

| variable | meaning | default |
|---|---|---|
| `CHAPELLE_STATE` | state of this clone: NetBox, lab, journal, keys | a folder a clone, XDG state |
| `CHAPELLE_CACHE` | what can be made again: dumps, root images | `chapelle` under XDG cache |
| `CHAPELLE_TARGET` | `lab` or `site`: what a run touches | `lab`; to be said with NETBOX_URL |
| `CHAPELLE_FORKS` | hosts worked on at one time | 4 for each core, 8 at least |
| `CHAPELLE_NETBOX_PATIENCE` | seconds that a run waits for a NetBox that is away | 300 |
| `CHAPELLE_BOOT_ADDRESS` | our address towards servers that boot, for target `site` | |
| `CHAPELLE_BOOT_LINKS` | our links towards them, with commas | |
| `CHAPELLE_SSH_CONFIG` | OpenSSH client configuration for target `site` | OpenSSH's own |
| `CHAPELLE_BMC_CA` | PEM file of who signs BMCs' certificates, for target `site` | |
| `CHAPELLE_BMC_LOGINS` | YAML file, mode 0600, of logins to BMCs, for target `site` | |
| `CHAPELLE_BMC_SIGNER` | directory of the authority that signs them: ca.pem, ca.key; for `site` | |
| `CHAPELLE_DEPLOY` | YAML file: authorities and keys for bare metal, for target `site` | |
| `NETBOX_URL` | an existing NetBox, with the four tokens below | ours |
| `NETBOX_TOKEN`, `NETBOX_TOKEN_RO` | for a run's own notes; for reading | |
| `NETBOX_TOKEN_TENANCY`, `NETBOX_TOKEN_SEED` | for tenants coming and going; for the design | |
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import platformdirs

from chapelle.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("lab", "site")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One installation's settings. Paths are absolute; nothing is created by reading them."""

    root: Path
    state: Path
    cache: Path
    target: str
    forks: int
    netbox_patience: float = 300.0
    ssh_config: Path | None = None
    bmc_ca: Path | None = None
    bmc_logins: Path | None = None
    bmc_signer: Path | None = None
    boot_address: str | None = None
    boot_links: tuple[str, ...] = ()
    deploy: Path | None = None
    netbox_url: str | None = None
    netbox_token: str | None = None
    netbox_token_ro: str | None = None
    netbox_token_seed: str | None = None
    netbox_token_tenancy: str | None = None

    def __repr__(self) -> str:  # tokens must not reach logs or tracebacks
        return f"Settings(root={self.root}, state={self.state}, target={self.target})"

    @property
    def instance(self) -> str:
        """Six hex digits that tell this state directory's lab from any other on the machine."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:6]

    @property
    def external_netbox(self) -> bool:
        """Whether the operator's own NetBox is used instead of the embedded one."""
        return self.netbox_url is not None

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings from the environment.

        Raises:
            InputError: CHAPELLE_TARGET or CHAPELLE_FORKS has a value that has no meaning, or
                NETBOX_URL is set and nobody said which machines are meant.
        """
        clone = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
        state = environ.get("CHAPELLE_STATE") or str(
            platformdirs.user_state_path("chapelle") / clone
        )
        cache = environ.get("CHAPELLE_CACHE") or str(platformdirs.user_cache_path("chapelle"))
        return cls(
            root=ROOT,
            state=Path(state).expanduser().resolve(),
            cache=Path(cache).expanduser().resolve(),
            target=_target(environ),
            forks=_whole(environ, "CHAPELLE_FORKS", max(8, 4 * (os.cpu_count() or 1)), 1, 500),
            netbox_patience=_whole(environ, "CHAPELLE_NETBOX_PATIENCE", 300, 1, 86400),
            ssh_config=_path(environ, "CHAPELLE_SSH_CONFIG"),
            bmc_ca=_path(environ, "CHAPELLE_BMC_CA"),
            bmc_logins=_path(environ, "CHAPELLE_BMC_LOGINS"),
            bmc_signer=_path(environ, "CHAPELLE_BMC_SIGNER"),
            boot_address=environ.get("CHAPELLE_BOOT_ADDRESS") or None,
            boot_links=tuple((environ.get("CHAPELLE_BOOT_LINKS") or "").replace(",", " ").split()),
            deploy=_path(environ, "CHAPELLE_DEPLOY"),
            netbox_url=_netbox_url(environ),
            netbox_token=environ.get("NETBOX_TOKEN") or None,
            netbox_token_ro=environ.get("NETBOX_TOKEN_RO") or None,
            netbox_token_seed=environ.get("NETBOX_TOKEN_SEED") or None,
            netbox_token_tenancy=environ.get("NETBOX_TOKEN_TENANCY") or None,
        )


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    given = environ.get(name)
    return Path(given).expanduser().resolve() if given else None


def _netbox_url(environ: Mapping[str, str]) -> str | None:
    """NetBox's own address, in one spelling: what it is compared with later has the same."""
    url = (environ.get("NETBOX_URL") or "").strip().rstrip("/")
    return url.removesuffix("/api").rstrip("/") or None


def _target(environ: Mapping[str, str]) -> str:
    target = environ.get("CHAPELLE_TARGET")
    if target is None and environ.get("NETBOX_URL"):
        raise InputError(
            "NETBOX_URL names a NetBox of your own, and nothing says which machines are meant.",
            where="environment variable CHAPELLE_TARGET",
            expected="lab (twins on this machine) or site (the servers themselves)",
            found="not set",
            remedy="export CHAPELLE_TARGET=lab, or CHAPELLE_TARGET=site",
        )
    if (target or "lab") not in TARGETS:
        raise InputError(
            "CHAPELLE_TARGET has no such value.",
            where="environment variable CHAPELLE_TARGET",
            expected=" or ".join(TARGETS),
            found=repr(target),
        )
    return target or "lab"


def _whole(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise InputError(
            f"{name} is no such number.",
            where=f"environment variable {name}",
            expected=f"a whole number from {least} to {most}",
            found=repr(text),
        )
    return int(text)
