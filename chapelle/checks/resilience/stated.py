"""What people state about a site in custom fields, read and judged: sources, banks, waivers..."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import (
    BANKS,
    SOURCES,
    WAIVERS,
    WINDOWS,
    Bank,
    Sources,
    Waiver,
    Window,
)


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """A custom field that holds what it should not."""

    ref: ObjectRef
    field: str
    found: str


class Stated:
    """What the custom fields of one datacentre say; what cannot be read is in `mistakes`."""

    def __init__(self, dc: Datacentre) -> None:
        self.mistakes: list[Mistake] = []
        self.sources: dict[int, Sources] = {}
        self.waivers: dict[int, tuple[Waiver, ...]] = {}
        self.windows: dict[int, tuple[Window, ...]] = {}
        for site in dc.content.sites:
            ref = ObjectRef(endpoint="dcim/sites", id=site.id, name=site.name)
            fields = site.custom_fields
            self.sources[site.id] = self._read(ref, fields, SOURCES, Sources, Sources())
            self.waivers[site.id] = self._read(ref, fields, WAIVERS, tuple[Waiver, ...], ())
            self.windows[site.id] = self._read(ref, fields, WINDOWS, tuple[Window, ...], ())
        self._banks: dict[tuple[int, str], Bank] = {}
        for device in dc.content.devices:
            if device.custom_fields.get(BANKS):
                ref, nothing = dc.ref(device), tuple[Bank, ...]()
                banks = self._read(ref, device.custom_fields, BANKS, tuple[Bank, ...], nothing)
                for bank in banks:
                    self._banks.update(((device.id, name), bank) for name in bank.outlets)

    def of(self, site: int) -> Sources:
        """The sources of a site; none where it states none."""
        return self.sources.get(site) or Sources()

    def bank_of(self, outlet: r.PowerOutlet) -> Bank | None:
        """The bank that an outlet belongs to."""
        return self._banks.get((outlet.device, outlet.name))

    def _read[T](
        self, ref: ObjectRef, fields: Mapping[str, Any], name: str, kind: Any, nothing: T
    ) -> T:
        value = fields.get(name)
        if value is None:
            return nothing
        try:
            found: T = msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            self.mistakes.append(Mistake(ref=ref, field=name, found=str(error)))
            return nothing
        return found
