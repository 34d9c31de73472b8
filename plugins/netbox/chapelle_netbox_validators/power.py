# mypy: ignore-errors
"""Runs in NetBox's own Python: the cords of a device do not end in one feed.

At most half of a device's power ports, rounded up, may end in one feed: one of two, two of three
or four. A cord that ends in a PDU which has no feed yet counts as ending in that PDU's inlet: all
cords there will end in one feed, whichever it is.
"""

from collections import defaultdict

from dcim.models import PowerFeed, PowerOutlet, PowerPort
from dcim.utils import decompile_path_node
from django.contrib.contenttypes.models import ContentType
from extras.validators import CustomValidator

from chapelle_netbox_validators.cables import so_before, to_judge
from chapelle_netbox_validators.common import refuse

MODELS = (PowerPort, PowerOutlet, PowerFeed)


class DiverseFeeds(CustomValidator):
    """For dcim.cable: saving it puts no more than half of a device's cords on one feed.

    It looks at the devices at the cable's ends, and at all that are fed through it: the cable of a
    PDU's inlet can be wrong for a whole rack. The number of queries does not grow with the rack.
    """

    def validate(self, instance, _request):
        """Refuse a power cable that leaves a device with one feed."""
        if not to_judge(instance):
            return
        plugged = _plugged(instance)
        if not plugged:
            return
        ports = [end for end in _ends(instance) if isinstance(end, PowerPort)]
        fed = _fed_through(instance, ports)
        devices = _cords(instance, plugged, fed)
        if all(len(cords.sources) < 2 for cords in devices):
            return
        supplies = _Supplies(instance, plugged)
        supplies.follow(source for cords in devices for source in cords.sources.values())
        faults = [
            (cords, root, shared)
            for cords in devices
            for root, shared in supplies.roots(cords).items()
            if len(shared) > (cords.total + 1) // 2 and shared & (plugged.keys() | fed)
        ]
        if faults:
            refuse(_words(faults, plugged), existing=so_before(instance))


class _DeviceCords:
    """The power ports of one device: how many, and what those with a cable are plugged into."""

    def __init__(self):
        self.total = 0
        self.sources = {}


def _ends(cable):
    return [*cable.a_terminations, *cable.b_terminations]


def _plugged(cable):
    """What this cable plugs each power port into, as nodes by the port's id."""
    found = defaultdict(set)
    sides = cable.a_terminations, cable.b_terminations
    for near, far in (sides, sides[::-1]):
        sources = {(type(end), end.pk) for end in far if isinstance(end, PowerOutlet | PowerFeed)}
        for end in near:
            if isinstance(end, PowerPort) and sources:
                found[end.pk] |= sources
    return dict(found)


def _fed_through(cable, ports):
    """The ids of the power ports that get their power through these ports."""
    found = set()
    # Most devices have no outlets, which their row in the database says.
    next_ones = {port.pk for port in ports if port.device.power_outlet_count}
    while next_ones:
        outlets = PowerOutlet.objects.filter(power_port__in=next_ones, cable__isnull=False)
        if cable.pk:
            outlets = outlets.exclude(cable=cable.pk)
        paths = outlets.values_list("_path__path", flat=True)
        reached = {pk for path in paths for model, pk in _far_end(path) if model is PowerPort}
        next_ones = reached - found
        found |= reached
    return found


def _cords(cable, plugged, fed):
    """The power ports of every device that has one of these ports."""
    owners = PowerPort.objects.filter(pk__in=plugged.keys() | fed).values("device")
    ports = PowerPort.objects.filter(device__in=owners).order_by("pk")
    devices = {}
    for pk, device, held_by, path in ports.values_list("pk", "device", "cable", "_path__path"):
        cords = devices.setdefault(device, _DeviceCords())
        cords.total += 1
        source = plugged.get(pk) or _stored(cable, held_by, path)
        if source:
            cords.sources[pk] = source
    return list(devices.values())


def _stored(cable, held_by, path):
    """What the database says of a port; nothing where it speaks of the cable that is saved now."""
    if held_by is None or held_by == cable.pk:
        return set()
    return {node for node in _far_end(path) if node[0] is not PowerPort}


def _far_end(path):
    """The nodes at the end of a path as NetBox keeps it; none when it leads nowhere."""
    models = {ContentType.objects.get_for_model(model).pk: model for model in MODELS}
    nodes = [decompile_path_node(node) for node in path[-1]] if path and len(path) > 2 else []
    return {(models[kind], pk) for kind, pk in nodes if kind in models}


class _Supplies:
    """What is behind outlets, as far as it had to be followed: one query for each level of PDUs."""

    def __init__(self, cable, plugged):
        self._cable = cable
        self._plugged = plugged
        self._behind = {}

    def follow(self, sources):
        """Find out what is behind these, up to the feeds."""
        unknown = {pk for nodes in sources for model, pk in nodes if model is PowerOutlet}
        while unknown:
            rows = PowerOutlet.objects.filter(pk__in=unknown).values_list(
                "pk", "power_port", "power_port__cable", "power_port___path__path"
            )
            for pk, port, held_by, path in rows:
                source = self._plugged.get(port) or _stored(self._cable, held_by, path)
                self._behind[pk] = source or ({(PowerPort, port)} if port else set())
            behind = {node for pk in unknown for node in self._behind.get(pk, ())}
            unknown = {pk for model, pk in behind if model is PowerOutlet} - self._behind.keys()

    def roots(self, cords):
        """The ids of the device's ports by the feed, or PDU's inlet, that they end in."""
        found = defaultdict(set)
        for port, source in cords.sources.items():
            seen, waiting = set(), set(source)
            while waiting:
                node = waiting.pop()
                if node in seen:
                    continue
                seen.add(node)
                if node[0] is PowerOutlet:
                    waiting |= self._behind.get(node[1], set())
                else:
                    found[node].add(port)
        return found


def _words(faults, plugged):
    cords, (model, pk), shared = faults[0]
    names = dict(PowerPort.objects.filter(pk__in=shared).values_list("pk", "name"))
    device = PowerPort.objects.select_related("device").get(pk=min(shared)).device
    new = sorted(names[port] for port in shared & plugged.keys())
    there = sorted(names[port] for port in shared - plugged.keys())
    root = model.objects.get(pk=pk)
    if model is PowerFeed:
        where = f"power feed {root} of {root.power_panel}"
    else:
        where = f"one PDU, at inlet {root} of {root.device}"
    limit = (cords.total + 1) // 2
    expected = f"expected at most {limit} of its {cords.total} power ports on one feed"
    if new and there:
        found = f"{', '.join(new)} of {device} would end in {where}, as {', '.join(there)} does"
    else:
        found = f"{', '.join(new or there)} of {device} would all end in {where}"
    more = f" So would those of {len(faults) - 1} more devices." if len(faults) > 1 else ""
    return f"{found}: {expected}.{more} Plug the cable into the other side's PDU or feed."
