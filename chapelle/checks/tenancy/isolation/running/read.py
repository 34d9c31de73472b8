"""What a switch runs, by its platform."""

from collections.abc import Callable, Mapping

from chapelle.checks.tenancy.isolation.running import eos, frr, nxos
from chapelle.checks.tenancy.isolation.running.kernel import with_kernel
from chapelle.fabric.platforms import EOS, FRR, NXOS, platform
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.isolation import Reading
from chapelle.model.switch import Kernel

_READERS: dict[str, Callable[[str, str, Mapping[int, int]], Reading]] = {
    FRR.slug: frr.read,
    EOS.slug: eos.read,
    NXOS.slug: nxos.read,
}


def read(
    dc: Datacentre, device: r.Device, configuration: str, kernel: Kernel | None = None
) -> Reading:
    """What a switch does.

    Arguments:
        dc: the datacentre.
        device: the switch.
        configuration: all that it runs.
        kernel: what its kernel does, where that is known.

    Raises:
        InputError: its platform is unknown.
    """
    found = dc.platforms.get(device.platform or 0)
    where = f"device {device.name} in NetBox"
    slug = platform(found.slug if found else "", where=where).slug
    reading = _READERS[slug](device.name or "", configuration, _vids(dc))
    return with_kernel(reading, kernel) if kernel else reading


def _vids(dc: Datacentre) -> dict[int, int]:
    """The VLAN of each VNI, by NetBox."""
    return {
        l2vpn.identifier: dc.vlans[vlan].vid
        for vlan, l2vpns in dc.l2vpns_by_vlan.items()
        for l2vpn in l2vpns
        if l2vpn.identifier is not None and vlan in dc.vlans
    }
