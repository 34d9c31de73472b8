"""The ramdisk's own network: the port that booted, by DHCP; all ports up, so that LLDP is heard."""

import subprocess
import time
from pathlib import Path

from chapelle.installer import programs
from chapelle.installer.stop import Failed

_PORTS = Path("/sys/class/net")
_LEASE = Path(__file__).with_name("lease.sh")

# Seconds until a driver has found its ports, and for DHCP to answer.
_PATIENCE = 60


def ports() -> dict[str, str]:
    """The MAC address of each physical port, by the kernel's name."""
    return {
        path.name: (path / "address").read_text().strip().lower()
        for path in sorted(_PORTS.iterdir())
        if (path / "device").exists()
    }


def carrier(port: str) -> bool:
    """Whether a cable with somebody at its other end is in the port."""
    try:
        return (_PORTS / port / "carrier").read_text().strip() == "1"
    except OSError:  # the port is down
        return False


def start(mac: str) -> str:
    """Bring all ports up, and the one of that MAC address onto its network.

    Returns:
        The kernel's name of that port.

    Raises:
        Failed: there is no such port, or DHCP does not answer.
    """
    end = time.monotonic() + _PATIENCE
    while mac not in ports().values() and time.monotonic() < end:
        time.sleep(0.2)
    found = ports()
    if mac not in found.values():
        raise Failed(
            "the port that booted is not there: a driver or firmware is missing",
            expected=f"a port of {mac}",
            found=", ".join(found.values()) or "no port",
        )
    for port in found:
        programs.run("ip", "link", "set", "dev", port, "up")
    booted = next(port for port, each in found.items() if each == mac)
    programs.run(
        "busybox", "udhcpc", "-q", "-n", "-t", "20", "-T", "3", "-i", booted, "-s", str(_LEASE)
    )
    return booted


def listen() -> None:
    """Begin to listen for LLDP, and to speak it: a switch answers a new neighbour at once."""
    Path("/run/lldpd").mkdir(exist_ok=True)
    subprocess.run(["lldpd"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
