"""What the controller orders of the installer, and what the installer reports back.

The installer fetches one `Order` after it has booted and carries it out: it decides nothing that
the order does not say. It reports `Report` after `Report`. Both travel as JSON, over TLS only: the
order holds secrets (private host keys, the recovery passphrase), so it is never written to a disk,
a journal or a log. `chapelle/installer/order.py` reads the same JSON with the standard library
alone; a test keeps the two alike.

| request, below the URL of a host's boot window | what |
|---|---|
| `GET ca.pem` | the authority of the server's certificate; its SHA-256 is in the command line |
| `GET order` | the `Order` as JSON |
| `GET <image path>` | the root image, as `Image.path` names it |
| `POST report` | one `Report` as JSON; the answer is 204 |
| `POST header/<name>` | a LUKS header backup: `root`, or the serial of a data disk |

Sizes are in MiB or GB (10^9 bytes), as the field's name says; times are seconds since the epoch.
"""

import uuid
from typing import Literal

import msgspec

Mode = Literal["build", "rebuild", "erase"]
MODES: tuple[Mode, ...] = ("build", "rebuild", "erase")

Purpose = Literal["os", "data", "keep"]

# What the order permits on a disk. `write`: it becomes ours, what is on it goes. `format`: written
# once, if nothing is on it; what we made there earlier is kept. `mount`: opened and mounted, never
# formatted. `keep`: not touched. `erase`: what the erasure order says.
Action = Literal["write", "format", "mount", "keep", "erase"]

# What the installer does, in this order; a report names one of them.
STAGES = (
    "hello",
    "hardware",
    "cabling",
    "guard",
    "data",
    "partition",
    "encrypt",
    "format",
    "unpack",
    "identity",
    "initramfs",
    "bind",
    "escrow",
    "boot-loader",
    "erase",
    "reboot",
)

# Of a report: the installer is at work, has done all, could not, or did not want to (nothing was
# written then).
Outcome = Literal["running", "done", "failed", "refused"]

# Names under which our disks are known again: a GPT's or LUKS header's UUID is made of host, disk
# and this (RFC 9562, version 5).
_NAMESPACE = uuid.UUID("6f0d3a52-7c1b-5e0e-9d53-3a2f0f5b8c11")


def mark(host: str, serial: str) -> str:
    """The UUID that a disk of that host carries when we have written to it.

    It is the GPT's on an `os` disk and the LUKS header's on a `data` disk. So an interrupted or an
    earlier installation is told from anybody else's data.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{host}/{serial}"))


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A network port of the machine; `switch` and `switch_port` are empty if NetBox has no cable.

    The cabling gate compares what LLDP says with them.
    """

    name: str
    mac: str
    switch: str = ""
    switch_port: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine as NetBox has it. An empty serial or model is never taken for a match.

    `ports` are those that the system sees: the BMC's is none of them. They get these names.
    """

    serial: str
    manufacturer: str
    model: str
    ports: tuple[Port, ...]


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as NetBox has it, and what may be done to it.

    Arguments:
        name: of the inventory item.
        serial: by which alone the installer finds it.
        size_gb: as NetBox says; the real one may differ by 2 %.
        purpose: `os`, `data` or `keep`.
        action: what is permitted.
        mark: see `mark`; a disk that carries it is ours.
        may_hold: signatures (as blkid names them, such as `ext4` or `gpt`) that the plan named and
            the operator saw, on a disk that is to be written; any other one is a stop.
        label: of a data disk's file system and LUKS mapping.
        mount: where a data disk is mounted.
    """

    name: str
    serial: str
    size_gb: int
    purpose: Purpose
    action: Action
    mark: str
    may_hold: tuple[str, ...] = ()
    label: str = ""
    mount: str = ""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How the OS disks are divided: the rest after these is LUKS2 over md RAID1, for `/`."""

    esp_mib: int = 512
    boot_mib: int = 1024
    root_filesystem: Literal["ext4", "xfs"] = "ext4"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The root image: a tar archive, compressed by zstd.

    Arguments:
        path: below the URL of the boot window.
        sha256: of the compressed file, hexadecimal.
        size: of the compressed file, bytes.
    """

    path: str
    sha256: str
    size: int


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A text file that the installer writes into the new system; `path` is absolute.

    It belongs to root. Secrets have mode 0o600.
    """

    path: str
    content: str
    mode: int = 0o644


class BootNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """The link over which the initramfs reaches the Tang servers: one port, no bond.

    A port of a bond works alone where the leafs fall back to single ports without LACP, as they
    must for booting from the network, too.

    Arguments:
        mac: of the port.
        address: with its prefix length.
        gateway: without; empty if the Tang servers are in the same network.
        vlan: a tag, if the network is not the port's untagged one.
    """

    mac: str
    address: str
    gateway: str = ""
    vlan: int | None = None


class Tang(msgspec.Struct, frozen=True, kw_only=True):
    """A Tang server and the thumbprint of its signing key (RFC 7638, SHA-256): not on first use."""

    url: str
    thumbprint: str


class Encryption(msgspec.Struct, frozen=True, kw_only=True):
    """How disks are unlocked without a person: `threshold` of the Tang servers, and the TPM.

    Arguments:
        passphrase: opens every disk, and is kept by the operators. A secret; one line, drawn by
            chance with 128 bits at least: the disks rely on that.
        tang: the servers.
        threshold: of the servers.
        tpm2: the machine's own TPM has to agree, too.
    """

    passphrase: str
    tang: tuple[Tang, ...]
    threshold: int = 1
    tpm2: bool = False

    def __repr__(self) -> str:
        return f"Encryption(tang={self.tang}, threshold={self.threshold}, tpm2={self.tpm2})"


class HostKey(msgspec.Struct, frozen=True, kw_only=True):
    """A host key with its certificate, in OpenSSH's formats; `private` is a secret."""

    private: str
    public: str
    certificate: str

    def __repr__(self) -> str:
        return f"HostKey(public={self.public!r})"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the new system is.

    Arguments:
        hostname: short.
        fqdn: full.
        machine_id: 32 hexadecimal digits (machine-id(5)).
        host_keys: signed before the first boot.
        user_authority: the SSH authority whose user certificates let people in.
        files: whatever else is this host's only, such as systemd-networkd's files.
    """

    hostname: str
    fqdn: str
    machine_id: str
    host_keys: tuple[HostKey, ...]
    user_authority: str
    files: tuple[File, ...] = ()


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """A disk to be erased. `order` is an erasure order as chapelle/model/erasure.py has it."""

    serial: str
    order: dict[str, object]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """All that the installer needs to know of one host.

    In mode `erase` there are no image, identity and encryption; in the other modes no erasure.
    """

    host: str
    run: str
    mode: Mode
    machine: Machine
    disks: tuple[Disk, ...]
    layout: Layout = Layout()
    image: Image | None = None
    identity: Identity | None = None
    network: BootNetwork | None = None
    encryption: Encryption | None = None
    erasures: tuple[Erasure, ...] = ()
    # Where the kernel and the boot loader talk to beside the screen, such as `ttyS0,115200`.
    console: str = "ttyS0,115200"
    # How long to wait for switches to say who they are, from the start of the installer on. They
    # speak every 30 s (IEEE 802.1AB). Nobody heard is no stop, a wrong neighbour is.
    lldp_seconds: int = 35
    # To the disk; switched off otherwise. After a failure the machine is always switched off.
    reboot: bool = True


class SeenPort(msgspec.Struct, frozen=True, kw_only=True):
    """A port as the installer found it; the neighbour is what LLDP said, empty if nothing."""

    name: str
    mac: str
    carrier: bool = False
    switch: str = ""
    switch_port: str = ""


class SeenDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as the installer found it; `signatures` are blkid's names, partitions' included."""

    path: str
    serial: str
    size_bytes: int
    model: str = ""
    rotational: bool = False
    signatures: tuple[str, ...] = ()
    # The UUID of its partition table or LUKS header; empty if it has neither.
    mark: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The machine as the installer found it."""

    serial: str
    manufacturer: str
    model: str
    firmware: Literal["bios", "uefi"]
    tpm2: bool
    cpus: int
    memory_mib: int
    ports: tuple[SeenPort, ...]
    disks: tuple[SeenDisk, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report of the installer.

    Arguments:
        host: as in the order; empty until the order is read.
        run: as in the order.
        stage: one of `STAGES`.
        percent: of the stage.
        message: one line for people.
        outcome: of the whole, so far.
        at: when, by the machine's own clock, which may be wrong.
        seconds: since the installer began, by a clock that does not jump.
        seen: with the stage `hardware`.
        expected: with a refusal or failure: what should have been.
        found: and what was.
        erased: results in mode `erase`, as chapelle/model/erasure.py has them.
    """

    host: str
    run: str
    stage: str
    percent: int = 0
    message: str = ""
    outcome: Outcome = "running"
    at: float = 0.0
    seconds: float = 0.0
    seen: Seen | None = None
    expected: str = ""
    found: str = ""
    erased: tuple[dict[str, object], ...] = ()


def command_line(url: str, authority_sha256: str, mac: str, console: str = "ttyS0,115200") -> str:
    """The kernel's command line that makes the ramdisk the installer of one host.

    Arguments:
        url: of the host's boot window, with its token; the order is at `<url>/order`.
        authority_sha256: of the file `<url>/ca.pem`, hexadecimal.
        mac: of the port that booted; the installer asks DHCP there.
        console: a serial console.
    """
    return (
        f"console=tty0 console={console} quiet panic=60 "
        f"chapelle.url={url.rstrip('/')} chapelle.ca={authority_sha256} chapelle.mac={mac.lower()}"
    )
