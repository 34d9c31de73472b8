"""The capacity ledger: what the storage servers can hold, and what is left when something is lost.

What a loss takes with it is asked of the graphs of power and network (`checks.resilience`), so that
a feed whose servers have a second one costs nothing, and a leaf pair costs the servers on it.
"""

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property

import msgspec

from chapelle.checks import placement
from chapelle.checks.resilience.loss import Plant
from chapelle.model import records as r
from chapelle.model.disks import GB_PER_TB, Disk, Holding, disks_of
from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.ledger import Ledger, Part, Without
from chapelle.model.records import ENDPOINTS
from chapelle.model.resilience import Element
from chapelle.model.status import OUT_OF_SERVICE

# Inventory items that are in their server and work, or will. Source: NetBox 4.7, dcim.choices,
# InventoryItemStatusChoices.
_WORKS = frozenset({"active", "planned", "staged"})

# The elements of power that are lost in turn, from the top down, and where they are in NetBox.
_POWER = {
    ENDPOINTS["sites"]: "source",
    ENDPOINTS["power_panels"]: "panel",
    ENDPOINTS["power_feeds"]: "feed",
}


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A server that holds data: its failure domain, its aisle, its data disks' number and size."""

    device: r.Device
    domain: str
    aisle: str
    disks: int
    raw: int


class Holders:
    """The servers of the role that holds data, and what is wrong with them."""

    def __init__(self, plant: Plant, holding: Holding) -> None:
        self.plant = plant
        self.dc = plant.dc
        self.holding = holding
        self.findings: list[Finding] = []
        self.kept: list[str] = []
        found = [self._holder(device) for device in self.dc.servers if self._counts(device)]
        self.all = tuple(holder for holder in found if holder)
        self.out = frozenset(
            h.device.id for h in self.all if h.device.id in plant.down.devices | plant.dark
        )

    def _counts(self, device: r.Device) -> bool:
        if device.status in OUT_OF_SERVICE:
            return False
        return self.dc.role_of(device) == self.holding.role

    def _holder(self, device: r.Device) -> Holder | None:
        disks = disks_of(self.dc, device)
        self.kept += [disk.serial or disk.name for disk in disks if disk.purpose == "keep"]
        data = [disk for disk in disks if disk.purpose == "data" and disk.status in _WORKS]
        sized = [disk for disk in data if disk.size_gb]
        for disk in data:
            if not disk.size_gb:
                self._unsized(device, disk)
        aisle = self.dc.aisle_number(device)
        domain = self._domain(device, aisle)
        if domain is None:
            self._nowhere(device)
            return None
        return Holder(
            device=device,
            domain=domain,
            aisle=aisle or "",
            disks=len(sized),
            raw=sum(disk.size_gb or 0 for disk in sized),
        )

    def _domain(self, device: r.Device, aisle: str | None) -> str | None:
        if self.holding.apart == "aisle":
            return aisle
        if self.holding.apart == "rack":
            rack = self.dc.racks.get(device.rack or 0)
            return rack.name if rack else None
        return device.name

    def _unsized(self, device: r.Device, disk: Disk) -> None:
        ref = ObjectRef(endpoint=ENDPOINTS["inventory_items"], id=disk.item, name=disk.name)
        self.findings.append(
            Finding(
                rule="storage-size",
                severity="warning",
                objects=(ref, self.dc.ref(device)),
                expected="the size of every data disk (disk_size_gb)",
                found="none; the disk counts for nothing",
                remedy="enter the size in NetBox",
            )
        )

    def _nowhere(self, device: r.Device) -> None:
        self.findings.append(
            Finding(
                rule="storage-place",
                severity="warning",
                objects=(self.dc.ref(device),),
                expected=f"a place in one {self.holding.apart}, which copies are kept apart by",
                found="none; the server's disks count for nothing",
                remedy="enter the server's rack and location in NetBox",
            )
        )

    # -- amounts ----------------------------------------------------------------------------------

    def usable(self, lost: Collection[int] = ()) -> int:
        """What the servers hold without those, in GB of data."""
        sizes = self._sizes(lost)
        return self._filled(placement.usable(sizes.values(), self.holding.copies))

    def _sizes(self, lost: Collection[int] = ()) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for holder in self.all:
            if holder.device.id not in lost:
                sizes[holder.domain] = sizes.get(holder.domain, 0) + holder.raw
        return sizes

    def _filled(self, amount: int) -> int:
        return amount * self.holding.fill_percent // 100

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Each failure domain's part, with all servers there."""
        sizes = self._sizes()
        idle = placement.stranded(list(sizes.values()), self.holding.copies)
        return tuple(
            self._part(name, [h for h in self.all if h.domain == name], unused)
            for name, unused in zip(sizes, idle, strict=True)
        )

    @cached_property
    def aisles(self) -> tuple[Part, ...]:
        """Each aisle's part."""
        if self.holding.apart == "aisle":
            return self.parts
        aisle_of = {holder.domain: holder.aisle for holder in self.all}
        found = []
        for number in dict.fromkeys(aisle_of.values()):
            inside = [part for part in self.parts if aisle_of[part.name] == number]
            found.append(
                Part(
                    name=number,
                    servers=sum(part.servers for part in inside),
                    disks=sum(part.disks for part in inside),
                    raw=sum(part.raw for part in inside),
                    usable=sum(part.usable for part in inside),
                    stranded=sum(part.stranded for part in inside),
                )
            )
        return tuple(found)

    def _part(self, name: str, inside: list[Holder], unused: int) -> Part:
        raw = sum(holder.raw for holder in inside)
        return Part(
            name=name,
            servers=len(inside),
            disks=sum(holder.disks for holder in inside),
            raw=raw,
            usable=self._filled(raw - unused) // self.holding.copies,
            stranded=unused,
        )

    # -- losses -----------------------------------------------------------------------------------

    def without(self, kind: str, name: str, elements: tuple[Element, ...]) -> Without:
        """What is left without these elements, together with what is out already."""
        gone = {lost.id for lost in self.plant.lose(elements).lost}
        gone |= self.plant.out(elements).devices
        return self._left(kind, name, elements, gone - self.out)

    def now(self) -> Without:
        """What is left without what is out already."""
        return self._left("out now", "", (), frozenset())

    def _left(
        self, kind: str, name: str, elements: tuple[Element, ...], gone: Collection[int]
    ) -> Without:
        """Count copies as if whatever is out had the only other one: nothing says it is not so."""
        holding = self.holding
        lost = [h for h in self.all if h.device.id in gone or h.device.id in self.out]
        told = lost if not elements else [h for h in lost if h.device.id in gone]
        hit = {holder.domain for holder in lost if holder.raw}
        copies = max(holding.copies - len(hit), 0)
        usable = self.usable({holder.device.id for holder in lost})
        raw = sum(holder.raw for holder in told)
        need = holding.need_gb
        return Without(
            kind=kind,
            name=name,
            elements=elements,
            servers=tuple(holder.device.name or "" for holder in told),
            raw=raw,
            affected=min(self._filled(raw), need),
            copies=copies,
            readable=copies >= holding.read,
            writable=copies >= holding.write,
            usable=usable,
            enough=usable >= need,
        )

    def losses(self) -> Iterator[Without]:
        """Every aisle, rack and leaf pair with such a server, and every source, panel and feed."""
        dc, plant = self.dc, self.plant
        for number in dict.fromkeys(holder.aisle for holder in self.all if holder.aisle):
            place = dc.aisles[number]
            ref = ObjectRef(endpoint=ENDPOINTS["locations"], id=place.id, name=place.slug)
            yield self.without("aisle", place.slug, (Element(kind="aisle", ref=ref),))
        racks = dict.fromkeys(h.device.rack for h in self.all if h.device.rack in dc.racks)
        for rack in (dc.racks[number] for number in racks if number is not None):
            ref = ObjectRef(endpoint=ENDPOINTS["racks"], id=rack.id, name=rack.name)
            yield self.without("rack", rack.name, (Element(kind="rack", ref=ref),))
        pairs = dict.fromkeys(dc.leaf_pair(holder.device) for holder in self.all)
        for pair in (names for names in pairs if names):
            elements = tuple(plant.element(dc.devices_by_name[name]) for name in pair)
            yield self.without("leaf pair", " ".join(pair), elements)
        for element in plant.elements:
            if kind := _POWER.get(element.ref.endpoint):
                yield self.without(kind, element.name, (element,))


def ledger(plant: Plant, holding: Holding) -> Ledger:
    """The account of one datacentre.

    Arguments:
        plant: the datacentre, with its graphs of power and network.
        holding: what is declared in `inventory/storage.yml`.
    """
    holders = Holders(plant, holding)
    now = holders.now()
    losses = sorted(holders.losses(), key=_worst_first)
    statuses: dict[str, int] = {}
    for holder in holders.all:
        status = holder.device.status
        statuses[status] = statuses.get(status, 0) + 1
    return Ledger(
        holding=holding,
        parts=holders.parts,
        aisles=holders.aisles,
        servers=dict(sorted(statuses.items())),
        disks=sum(holder.disks for holder in holders.all),
        raw=sum(holder.raw for holder in holders.all),
        usable=holders.usable(),
        need=holding.need_gb,
        out=now,
        losses=tuple(losses),
        kept=tuple(holders.kept),
        findings=(*holders.findings, *_judged(plant, holders, [now, *losses])),
    )


_KINDS = ("aisle", "rack", "leaf pair", *_POWER.values())


def _worst_first(loss: Without) -> tuple[int, int, int]:
    return _KINDS.index(loss.kind), loss.copies, -loss.raw


def _judged(plant: Plant, holders: Holders, losses: Iterable[Without]) -> Iterator[Finding]:
    """Why what there is does not hold the data, or does not keep it when something is lost."""
    holding = holders.holding
    everything = next((plant.dc.sites[site] for site in sorted(plant.dc.sites)), None)
    site = (
        ObjectRef(endpoint=ENDPOINTS["sites"], id=everything.id, name=everything.name)
        if everything
        else ObjectRef(endpoint=ENDPOINTS["sites"], id=0, name="(no site)")
    )
    left = holders.usable(holders.out)
    if left < holding.need_gb:
        yield Finding(
            rule="storage-need",
            severity="error",
            objects=(site,),
            expected=f"room for {holding.need_tb} TB in {holding.copies} copies, each in another "
            f"{holding.apart}, on disks filled to {holding.fill_percent} %",
            found=f"room for {left / GB_PER_TB:.0f} TB, without what is out now",
            remedy="add storage servers or disks, or change what inventory/storage.yml declares",
        )
    for loss in losses:
        if loss.readable and loss.writable:
            continue
        what = f"without {loss.kind} {loss.name}" if loss.elements else "with what is out now"
        lacking = "written" if loss.readable else "read"
        needed = holding.write if loss.readable else holding.read
        yield Finding(
            rule="storage-loss",
            severity="error",
            objects=tuple(element.ref for element in loss.elements) or (site,),
            expected=f"{needed} of {holding.copies} copies, so that all data can be {lacking}",
            found=f"{loss.copies} for certain {what}",
            remedy="bring back what is out, or keep copies apart by what fails together "
            "(inventory/storage.yml)",
        )
