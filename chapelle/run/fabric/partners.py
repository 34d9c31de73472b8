"""Whether what stands in for a switch is there while that switch is changed."""

from collections.abc import Callable, Collection

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import ROUTING_ROLES, Datacentre
from chapelle.plan.rollout import group_of
from chapelle.plan.scope import switches
from chapelle.run.fabric import reach
from chapelle.run.fabric.connecting import connecting
from chapelle.settings import Settings


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
    if not changing:
        return
    # An out-of-band switch has nobody who replaces it.
    replaced = {d.name or "": d for d in switches(dc) if dc.role_of(d) in ROUTING_ROLES}
    groups = {name: group_of(dc, device) for name, device in replaced.items()}
    known = set(seen)
    for name in sorted(set(changing) & groups.keys()):
        group = groups[name]
        others = {
            other: device
            for other, device in replaced.items()
            if other != name and groups[other] == group and device.status == "active"
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
