"""What dnsmasq says that it heard, understood line by line.

With `log-dhcp` it begins each line about one exchange with the number of it. What a client says of
itself comes before who it is, and lines about several clients are mixed.
"""

import re
import threading
from collections.abc import Callable, Collection, Mapping

from chapelle.model.boot import BootEvent, Firmware

_LINE = re.compile(r"dnsmasq-dhcp(?:\[\d+\])?: (?:(\d+) )?(.*)")
_ASKED = re.compile(r"DHCP(?:DISCOVER|REQUEST)\(\S+\)(?: [\d.]+)? ([0-9a-f:]{17}) ?(.*)")
_GIVEN = re.compile(r"DHCPACK\(\S+\) ([\d.]+) ([0-9a-f:]{17})")
_CLASS = re.compile(r"vendor class: (?:PXEClient|HTTPClient):Arch:(\d{5})")
# Of the same kind as `configuration._MATCHES`.
_FIRMWARE: dict[int, Firmware] = {0: "bios", 7: "uefi", 9: "uefi", 16: "uefi"}

# So many clients at most are waited for between what they say and who they are.
MOST_AT_ONCE = 1000

Window = Callable[[str], tuple[str, Firmware] | None]


class Listener:
    """Makes events of dnsmasq's lines.

    Arguments:
        names: the host of each MAC address that NetBox knows, in lower case.
        window: host and firmware of the open window of a MAC address, or None.
        tell: told of each event; of the same one only once.
    """

    def __init__(
        self, names: Mapping[str, str], window: Window, tell: Callable[[BootEvent], None]
    ) -> None:
        self._names = names
        self._window = window
        self._tell = tell
        self._told: set[BootEvent] = set()
        self._lock = threading.Lock()
        self._saying: dict[str, int] = {}

    def hear(self, line: str) -> None:
        """Understand one line; most of them say nothing that matters."""
        if not (found := _LINE.search(line)):
            return
        exchange, text = found[1] or "", found[2]
        if asked := _ASKED.match(text):
            said = self._saying.pop(exchange, None)
            if asked[2] == "ignored":
                self._ignored(asked[1])
            elif said is not None:
                self._judge(asked[1], said)
        elif given := _GIVEN.match(text):
            window = self._window(given[2])
            host = window[0] if window else ""
            self._once(BootEvent(kind="asked", host=host, mac=given[2], message=f"has {given[1]}"))
        elif kind := _CLASS.match(text):
            if len(self._saying) >= MOST_AT_ONCE:
                self._saying.clear()
            self._saying[exchange] = int(kind[1])

    def _ignored(self, mac: str) -> None:
        host = self._names.get(mac, "")
        if host:
            message = f"{host} asks for an address, and has no boot window; it was not answered"
            self._once(BootEvent(kind="closed", host=host, mac=mac, message=message))
        else:
            message = f"{mac} is no server's in NetBox and asks for an address; it was not answered"
            self._once(BootEvent(kind="stranger", mac=mac, message=message))

    def _judge(self, mac: str, architecture: int) -> None:
        window = self._window(mac)
        if window is None:
            return
        host, wanted = window
        found = _FIRMWARE.get(architecture)
        if found != wanted:
            shown = found or f"architecture {architecture} of RFC 4578"
            message = f"{host} boots as {shown}, and NetBox wants {wanted}; it is given nothing"
            self._once(BootEvent(kind="mode", host=host, mac=mac, message=message))

    def forget(self, macs: Collection[str]) -> None:
        """Tell of these MAC addresses again: their window has been opened or closed."""
        with self._lock:
            self._told = {event for event in self._told if event.mac not in macs}

    def _once(self, event: BootEvent) -> None:
        with self._lock:
            if event in self._told:
                return
            self._told.add(event)
        self._tell(event)
