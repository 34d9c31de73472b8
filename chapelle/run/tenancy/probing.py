"""Packets from inside a tenant's network: who can send them, to whom, and what became of them."""

import itertools
from collections.abc import Iterator

import msgspec

from chapelle.checks.tenancy.acceptance import line as judging
from chapelle.checks.tenancy.acceptance.line import Agreed
from chapelle.drivers.probe import Probe, ProbeError
from chapelle.lab import ca
from chapelle.model import records as r
from chapelle.model.acceptance import FAILED, Evidence
from chapelle.model.datacentre import Datacentre
from chapelle.run.fabric.steps import words
from chapelle.run.tenancy.lines import Place, gateways, in_the_lab
from chapelle.settings import Settings

REQUESTS = 20
THROUGHPUT_SECONDS = 5

NO_PROBE = "no probe (--probe names a host of the tenant's that we may log in to)"
LAB = "in the lab: it works, and nobody knows how fast the line is"
CONTAINERS = "no probe: the tenant's edges are containers in this lab (--kind=uml has them whole)"


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """From a probe to an address."""

    probe: Probe
    address: str
    name: str

    def __str__(self) -> str:
        return f"{self.probe.name} to {self.name}"


class Probing:
    """All probes of one tenant.

    Arguments:
        settings: this installation.
        dc: the datacentre.
        tenant: whose network it is.
        places: the probes that the operator names; in the lab the tenant's edges, if none.
    """

    def __init__(
        self, settings: Settings, dc: Datacentre, tenant: r.Tenant, places: tuple[Place, ...]
    ) -> None:
        self._dc = dc
        self._tenant = tenant
        self._in_lab = settings.target == "lab"
        if self._in_lab:
            ca.renew_user_certificate(settings)
        self.why_not = CONTAINERS if self._in_lab else NO_PROBE
        self.places = places or tuple(in_the_lab(settings, dc, tenant) if self._in_lab else ())
        self._ssh = _ssh(settings)
        self.answering: dict[str, Way] = {}

    def probe(self, place: Place) -> Probe:
        """The probe at a place."""
        return Probe(name=place.host, ssh=self._ssh, address=place.address)

    def ways(self, place: Place) -> Iterator[Way]:
        """Where a probe's packets are sent: to its gateways, and to the other probes."""
        for gateway in gateways(self._dc, self._tenant, place.aisle):
            yield Way(probe=self.probe(place), address=gateway, name=f"gateway {gateway}")
        for other in self.places:
            if other != place and other.address:
                name = f"{other.host} ({other.address})"
                yield Way(probe=self.probe(place), address=other.address, name=name)

    def measure(self, aisles: tuple[str, ...], agreed: Agreed) -> Iterator[Evidence]:
        """Latency on all ways, and throughput between each two probes.

        What answered is remembered: the last way of each aisle leads farthest.
        """
        for each in self._measured(aisles, agreed):
            how = f"{each.how} ({LAB})" if self._in_lab else each.how
            yield msgspec.structs.replace(each, how=how)

    def _measured(self, aisles: tuple[str, ...], agreed: Agreed) -> Iterator[Evidence]:
        for aisle in aisles:
            places = [place for place in self.places if place.aisle == aisle]
            if not places:
                yield judging.no_figure(f"aisle {aisle}", "latency", self.why_not)
            for place in places:
                yield from self._latency(place, agreed)
        pairs = [(a, b) for a, b in itertools.combinations(self.places, 2) if b.address]
        if not pairs:
            why = "it takes two probes, each with an address in the tenant's network"
            yield judging.no_figure(self._tenant.name, "throughput", why)
        for one, other in pairs:
            yield self._throughput(one, other, agreed)

    def _latency(self, place: Place, agreed: Agreed) -> Iterator[Evidence]:
        for way in self.ways(place):
            try:
                found = way.probe.ping(way.address, count=REQUESTS)
            except ProbeError as error:
                yield judging.no_figure(str(way), "latency", words(error), FAILED)
                continue
            if found.lost == 0:
                self.answering[place.aisle] = way
            yield judging.latency(str(way), found, agreed)

    def _throughput(self, one: Place, other: Place, agreed: Agreed) -> Evidence:
        way = f"{one.host} to {other.host}"
        try:
            rate = self.probe(one).megabits(self.probe(other), seconds=THROUGHPUT_SECONDS)
        except ProbeError as error:
            return judging.no_figure(way, "throughput", words(error), FAILED)
        return judging.throughput(way, rate, agreed)


def _ssh(settings: Settings) -> tuple[str, ...]:
    if settings.target == "lab":
        return (str(ca.folder(settings) / "ssh"),)
    config = ("-F", str(settings.ssh_config)) if settings.ssh_config else ()
    return ("ssh", *config, "-o", "BatchMode=yes")
