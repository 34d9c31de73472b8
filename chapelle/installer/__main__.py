"""The ramdisk's program: fetch the order, carry it out, say how it went.

Its exit status tells the ramdisk what comes next: 10 to restart, anything else to switch off.
"""

import sys
import time
import traceback
from pathlib import Path

from chapelle.installer import network
from chapelle.installer import order as orders
from chapelle.installer.course import Course
from chapelle.installer.link import Link
from chapelle.installer.reporter import Reporter
from chapelle.installer.stop import Failed, Stop

RESTART = 10
OFF = 11


def parameters(text: str) -> dict[str, str]:
    """What the kernel's command line says to us.

    Raises:
        Failed: it lacks something.
    """
    words = [word.partition("=") for word in text.split() if word.startswith("chapelle.")]
    given = {name.removeprefix("chapelle."): value for name, _, value in words}
    if missing := {"url", "ca", "mac"} - given.keys():
        raise Failed("the command line lacks something", expected=", ".join(sorted(missing)))
    return given


def main() -> int:
    """Run, and return the exit status."""
    begun = time.monotonic()
    reporter = Reporter(begun)
    try:
        given = parameters(Path("/proc/cmdline").read_text())
        network.start(given["mac"])
        network.listen()
        reporter.link = Link(given["url"], given["ca"])
        reporter.link.set_clock()
        order = orders.read(reporter.link.get("order"))
        reporter.host, reporter.run = order.host, order.run
        Course(order, reporter.link, reporter).run()
    except Stop as stop:
        reporter.stopped(stop)
        return OFF
    except orders.OrderError as error:
        reporter.stopped(Failed("the order is not understood", found=str(error)))
        return OFF
    except Exception as error:  # noqa: BLE001 - the controller has to hear of it, whatever it is
        traceback.print_exc()
        reporter.stopped(Failed("the installer has a mistake", found=repr(error)))
        return OFF
    return RESTART if order.reboot else OFF


if __name__ == "__main__":
    sys.exit(main())
