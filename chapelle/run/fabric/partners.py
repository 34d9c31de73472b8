"""Whether what stands in for a switch is there while that switch is changed."""

from collections.abc import Callable, Collection

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.plan.rollout import group_of
from chapelle.run.fabric import reach
from chapelle.run.fabric.connecting import connecting
from chapelle.settings import Settings

# Roles whose switches replace each other. An out-of-band switch has nobody who does.
REPLACED = frozenset({"leaf", "tenant-leaf", "border", "spine"})


def require(
    dc: Datacentre,
    changing: Collection[str],
    seen: Collection[str],
    answers: Callable[[r.Device], bool],
) -> None:
    """Make sure that each switch that is to be changed has one beside it that works.

    Of its redundancy group at least one other that NetBox calls active has to answer. If there is
    none, the group is being built, or somebody has said that the other is out of service.

    Arguments:
        dc: the datacentre.
        changing: the switches that are going to be changed.
        seen: switches that have answered.
        answers: whether a switch answers.

    Raises:
        RefusedError: one would be changed while all that could stand in for it are away.
    """
    groups = {
        device.name: (group_of(dc, device), device)
        for device in dc.devices.values()
        if device.name and dc.role_of(device) in REPLACED
    }
    known = set(seen)
    for name in sorted(set(changing) & groups.keys()):
        group = groups[name][0]
        others = {
            other: device
            for other, (theirs, device) in groups.items()
            if other != name and theirs == group and device.status == "active"
        }
        if not others or others.keys() & known:
            continue
        there = next((other for other, device in others.items() if answers(device)), None)
        if there is None:
            raise RefusedError(
                f"{name} would be changed while nothing stands in for it.",
                where=f"group {group}",
                expected=f"an answer from {' or '.join(sorted(others))}, active in NetBox",
                found="none",
                remedy="mend it first; or, if it is known to be out of service, let NetBox say so",
            )
        known.add(there)


def answering(settings: Settings, dc: Datacentre) -> Callable[[r.Device], bool]:
    """Whether a switch answers, found out by asking it who it is."""
    connect = connecting(settings)

    def answers(device: r.Device) -> bool:
        try:
            with connect(reach.target(settings, dc, device)) as switch:
                switch.identify()
        except ChapelleError:
            return False
        return True

    return answers
