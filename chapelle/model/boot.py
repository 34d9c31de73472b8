"""A boot window: what one host may load over the network, and until when; and what is heard of it.

A window is closed by whoever opened it, on every exit; `expires` is the last resort. What it allows
is found by a token that the boot service draws anew at each opening, and that is never kept.
"""

import datetime
import ipaddress
import re
from pathlib import Path
from typing import Literal

import msgspec

from chapelle.errors import InputError

Firmware = Literal["bios", "uefi"]

# What the boot service tells of. `stranger`: a MAC address that is no host's. `closed`: a host that
# has no open window. `mode`: a firmware of the other kind than NetBox's. `asked`: DHCP answered.
# `medium`: its BMC fetches the medium that it boots from. `script`: a host loads its kernel.
# `again`: and it does so after the order was given out once. `order`: the order was given out.
# `finished`: nothing more is answered to it. `refused`: a request that nobody may make.
# `corrupt`: a file is not what it was. `expired`: a window's time is over. `broken`: the service
# itself does not work any more.
EventKind = Literal[
    "stranger", "closed", "mode", "asked", "medium", "script", "again", "order", "finished",
    "refused", "corrupt", "expired", "broken",
]  # fmt: skip

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
DIGEST = re.compile(r"[0-9a-f]{64}")
ARGUMENTS = re.compile(r"[A-Za-z0-9 _.,:=/-]*")


class BootFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a host may load: where it is, and what it has to be (SHA-256, hexadecimal)."""

    path: Path
    sha256: str


class BootWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What one host may load.

    Arguments:
        host: its name.
        macs: of the ports that it may boot from; the order does not matter.
        address: its IPv4 address with prefix length, which DHCP gives to whichever port asks.
        gateway: of its network; empty if there is none.
        firmware: the kind that NetBox wants; the other kind is given nothing to boot.
        expires: when the window closes by itself.
        kernel: a Linux kernel.
        initrd: its initial ramdisk.
        files: what the ramdisk may fetch, by path below the window's URL.
        command_line: the kernel's, without what says where the order is.
        medium: what its BMC may fetch, to put it into the host's virtual CD drive.
        bmc: the IPv4 address that the BMC fetches it from.
    """

    host: str
    macs: tuple[str, ...]
    address: str
    expires: datetime.datetime
    kernel: BootFile
    initrd: BootFile
    gateway: str = ""
    firmware: Firmware = "uefi"
    files: dict[str, BootFile] = {}
    command_line: str = ""
    medium: BootFile | None = None
    bmc: str = ""

    @property
    def ip(self) -> str:
        """The bare address."""
        return self.address.partition("/")[0]

    @property
    def all_files(self) -> tuple[BootFile, ...]:
        """Every file, the kernel first."""
        media = (self.medium,) if self.medium else ()
        return (self.kernel, self.initrd, *self.files.values(), *media)

    def validate(self) -> None:
        """Make sure that nothing in it means something else to DHCP, iPXE or a kernel.

        Raises:
            InputError: something does; the message says what.
        """
        texts = [
            ("host name", self.host, HOST, "lower-case letters, digits and hyphens"),
            ("command line", self.command_line, ARGUMENTS, "arguments without quotes"),
        ]
        texts += [("MAC address", mac, MAC, "six lower-case pairs") for mac in self.macs]
        texts += [("path", name, NAME, "a relative path without dots first") for name in self.files]
        texts += [("digest", f.sha256, DIGEST, "64 hexadecimal digits") for f in self.all_files]
        for what, text, pattern, expected in texts:
            if not pattern.fullmatch(text):
                raise wrong(what, self.host, expected, text)
        if not self.macs:
            raise wrong("MAC address", self.host, "the address of one port at least", "")
        if self.medium is not None and not _is_address(self.bmc):
            raise wrong("address of its BMC", self.host, "an IPv4 address", self.bmc)
        if self.expires.tzinfo is None:
            raise wrong("end", self.host, "a time with its zone", self.expires.isoformat())
        try:
            network = ipaddress.IPv4Interface(self.address).network
            outside = self.gateway and ipaddress.IPv4Address(self.gateway) not in network
        except ValueError as error:
            raise wrong("address", self.host, "an IPv4 address", str(error)) from error
        if outside:
            raise wrong("gateway", self.host, f"an address in {network}", self.gateway)


class BootEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was heard: of which host, or of which MAC address if that is no host's."""

    kind: EventKind
    message: str
    host: str = ""
    mac: str = ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def wrong(what: str, host: str, expected: str, found: str) -> InputError:
    """The error that a boot window cannot be opened with this."""
    return InputError(
        f"A boot window cannot be opened with this {what}.",
        where=f"host {host}",
        expected=expected,
        found=repr(found),
    )
