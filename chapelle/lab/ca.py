"""SSH without trust on first use: two certificate authorities, host keys, and the client's side.

One authority signs the nodes' host keys before the nodes start, the other signs the operator's key
for a day. Everything is made at random for each state directory and never leaves it. Formats:
OpenSSH's PROTOCOL.certkeys and sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
)

from chapelle.lab import files
from chapelle.settings import Settings

PRINCIPAL = "deploy"
SWITCH_KEYS = "known_hosts_switches"
USER_LIFE = 24 * 3600
REISSUE_BELOW = 12 * 3600
# A lab that is left running for years should not lock its owner out.
HOST_LIFE = 10 * 365 * 24 * 3600
# Certificates begin in the past: the clocks of two machines never agree wholly.
BACKDATED = 300


class HostKey(msgspec.Struct, frozen=True, kw_only=True):
    """A host's key pair and certificate, in OpenSSH's file formats."""

    private: bytes
    public: bytes
    certificate: bytes


def folder(settings: Settings) -> Path:
    """Where this state's keys and client configuration are."""
    return settings.state / "ssh"


def namespace_path(settings: Settings) -> Path:
    """The lab's network namespace as the client enters it.

    Not in /run/netns: `ip netns add` mounts that directory over itself, and what was there before
    can neither be seen nor be taken away any more.
    """
    return Path("/run") / f"chap-{settings.instance}.netns"


def all_namespaces() -> list[Path]:
    """The network namespaces of all labs on the machine, ours and those of other clones."""
    return list(Path("/run").glob("chap-*.netns"))


def ensure(settings: Settings) -> None:
    """Make what is missing of the authorities and the operator's key, and a valid certificate."""
    home = files.directory(folder(settings))
    for name, comment in (
        ("ca_host", "chapelle lab host authority"),
        ("ca_user", "chapelle lab user authority"),
        ("id_ed25519", "chapelle lab operator"),
    ):
        if not (home / name).exists() or not (home / f"{name}.pub").exists():
            key = Ed25519PrivateKey.generate()
            files.write(home / f"{name}.pub", _public(key) + f" {comment}\n".encode(), 0o644)
            files.write(home / name, _private(key))
    authority = (home / "ca_host.pub").read_text()
    files.write(home / "known_hosts", f"@cert-authority * {authority}", 0o644)
    issue_user_certificate(settings)


def renew_user_certificate(settings: Settings) -> None:
    """Renew the operator's certificate if it is old; before the lab was first up there is none."""
    if (folder(settings) / "ca_user").is_file():
        issue_user_certificate(settings)


def issue_user_certificate(settings: Settings) -> Path:
    """See that the operator's certificate is good for 12 hours more, and say where it is.

    A new one is good for 24 hours, for principal `deploy`.
    """
    home = folder(settings)
    path = home / "id_ed25519-cert.pub"
    if _seconds_left(path) >= REISSUE_BELOW:
        return path
    operator = _load(home / "id_ed25519")
    now = int(time.time())
    certificate = (
        SSHCertificateBuilder()
        .public_key(operator.public_key())
        .serial(now)
        .type(SSHCertificateType.USER)
        .key_id(f"operator of lab {settings.instance}".encode())
        .valid_principals([PRINCIPAL.encode()])
        .valid_after(now - BACKDATED)
        .valid_before(now + USER_LIFE)
        .add_extension(b"permit-pty", b"")
        .add_extension(b"permit-port-forwarding", b"")
        .sign(_load(home / "ca_user"))
    )
    files.write(path, certificate.public_bytes() + b"\n", 0o644)
    return path


def _seconds_left(path: Path) -> float:
    with contextlib.suppress(OSError, ValueError):
        certificate = serialization.load_ssh_public_identity(path.read_bytes().strip())
        if isinstance(certificate, SSHCertificate):
            return certificate.valid_before - time.time()
    return 0


class HostSigner:
    """Makes host keys and signs them; the authority's key is read once.

    Arguments:
        home: the directory of the authority for hosts, and of what hosts let users in by.
    """

    def __init__(self, home: Path) -> None:
        self._authority = _load(home / "ca_host")
        self.user_authority = (home / "ca_user.pub").read_bytes()

    def new(self, principals: Sequence[str]) -> HostKey:
        """A new host key, certified for the names and addresses by which the host is reached."""
        key = Ed25519PrivateKey.generate()
        now = int(time.time())
        certificate = (
            SSHCertificateBuilder()
            .public_key(key.public_key())
            .serial(now)
            .type(SSHCertificateType.HOST)
            .key_id(principals[0].encode())
            .valid_principals([principal.encode() for principal in principals])
            .valid_after(now - BACKDATED)
            .valid_before(now + HOST_LIFE)
            .sign(self._authority)
        )
        return HostKey(
            private=_private(key),
            public=_public(key) + b"\n",
            certificate=certificate.public_bytes() + b"\n",
        )


def write_client(settings: Settings, hosts: Iterable[tuple[str, str, str]], source: str) -> None:
    """Write the client's configuration and the programs that enter the lab's network.

    Arguments:
        settings: whose lab.
        hosts: name, fully qualified name and address of each.
        source: our own address in the lab, in the services' prefix as an operator's is on the site
            (the nodes' firewalls let nobody else in); empty for whatever the route gives.
    """
    home = folder(settings)
    bind = f"  BindAddress {source}\n" if source else ""
    blocks = [f"Host {name} {fqdn}\n  HostName {address}\n" for name, fqdn, address in hosts]
    common = f"""Host *
{bind}  User {PRINCIPAL}
  IdentityFile "{home}/id_ed25519"
  CertificateFile "{home}/id_ed25519-cert.pub"
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  UserKnownHostsFile "{home}/known_hosts"
  GlobalKnownHostsFile /dev/null
  HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519
  StrictHostKeyChecking yes
  UpdateHostKeys no
  ConnectTimeout 10
  ServerAliveInterval 15
  ServerAliveCountMax 3
"""
    files.write(home / "config", "".join(blocks) + common, 0o644)
    namespace = namespace_path(settings)
    files.write(
        home / "ssh",
        f"""#!/bin/sh
# ssh into this state's lab: its nodes are reachable from its own network namespace only.
if ! [ -e {namespace} ]; then
  echo "the lab is down; start it with: invoke lab.up" >&2
  exit 255
fi
exec nsenter --net={namespace} -- /usr/bin/ssh -F '{home}/config' "$@"
""",
        0o755,
    )
    for program in ("sftp", "scp"):
        text = f"#!/bin/sh\nexec /usr/bin/{program} -S '{home}/ssh' \"$@\"\n"
        files.write(home / program, text, 0o755)


def write_switch_keys(settings: Settings, keys: Iterable[tuple[str, str, str]]) -> None:
    """Write the host keys of switches one by one, for clients that know no host authorities.

    Arguments:
        settings: whose lab.
        keys: address, name, and host key (`type base64`) of each.
    """
    lines = [f"{place} {key}\n" for address, name, key in keys for place in (address, name) if key]
    files.write(folder(settings) / SWITCH_KEYS, "".join(lines), 0o644)


def _load(path: Path) -> Ed25519PrivateKey:
    key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} is not an Ed25519 key")
    return key


def _private(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
