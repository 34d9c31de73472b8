"""How this installation reaches hosts: through the lab's namespace, or by the site's SSH set-up."""

import os
from pathlib import Path

from chapelle.errors import RefusedError
from chapelle.lab import ca, notes, wires
from chapelle.plan.hostvars import WHOLE, Kernels
from chapelle.plan.inventory import Reach
from chapelle.settings import Settings

# A Unix socket's path holds 107 characters, and ssh appends some 30 to the directory: a hash of the
# host, and a random end while it starts to listen.
_LONGEST_DIRECTORY = 70

# A container has the clock of the machine around it; a machine has its own.
_CLOCK = "clock"


def reach(settings: Settings) -> Reach:
    """How hosts are reached, for Ansible's inventory.

    Raises:
        ChapelleError: the lab's own description of itself cannot be understood.
    """
    if settings.target == "site":
        return Reach(sockets=socket_directory(settings), ssh_config=settings.ssh_config)
    ca.renew_user_certificate(settings)
    return Reach(
        sockets=socket_directory(settings),
        ssh=settings.state / "ssh" / "ssh",
        kernels=_lab_kernels(notes.read(settings)),
        user_authority=_user_authority(settings),
    )


def _user_authority(settings: Settings) -> str:
    """The public key of the lab's authority for users; empty before the lab was first up."""
    path = settings.state / "ssh" / "ca_user.pub"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def socket_directory(settings: Settings) -> Path:
    """Where the sockets of shared SSH connections lie: private, and no other lab's."""
    own = settings.state / "ssh" / "cp"
    if len(os.fsencode(own)) <= _LONGEST_DIRECTORY:
        return own
    return Path.home() / ".ansible" / "cp" / settings.instance


def kernels(settings: Settings) -> Kernels:
    """What the kernels of hosts can do: a site's can do all, the lab's what this machine's can.

    Raises:
        ChapelleError: the lab's notes cannot be read.
        RefusedError: the lab was never up, and only root may ask this machine's kernel.
    """
    if settings.target == "site":
        return WHOLE
    known = notes.read(settings)
    if known is None and os.geteuid() != 0:
        raise RefusedError(
            "What the lab's servers can do is not known: the lab was never up.",
            where=str(notes.path(settings)),
            expected="a lab, or user id 0 to ask this machine's kernel",
            found=f"no lab, and user id {os.geteuid()}",
            remedy="run it with sudo, or start the lab: sudo invoke lab.up",
        )
    return _lab_kernels(known) if known else Kernels(common=_nodes(wires.kernel_support()))


def _lab_kernels(known: notes.Lab | None) -> Kernels:
    """A machine of the lab has the lab's links, since its cables are, and a clock of its own."""
    kernel = known.kernel if known else {}
    machines = [name for name, kind in notes.kinds(known).items() if kind == "qemu"]
    return Kernels(
        common=_nodes(kernel),
        own={name: {_CLOCK: True, **kernel} for name in machines},
    )


def _nodes(kernel: dict[str, bool]) -> dict[str, bool]:
    return {_CLOCK: False, **kernel}
