"""Where a command on switches stands: what NetBox says, and what each switch shall be."""

import msgspec

from chapelle.errors import InputError
from chapelle.fabric import ownership
from chapelle.files import write
from chapelle.model.datacentre import Datacentre
from chapelle.plan.scope import Scope, select_switches
from chapelle.run import prepare
from chapelle.run.fabric import expect, papers, survey
from chapelle.run.fabric.order import APPLIED
from chapelle.run.fabric.papers import Papers
from chapelle.run.fabric.survey import Gear
from chapelle.run.filing import folder_of
from chapelle.run.folder import Folder
from chapelle.run.journal import SWITCH_KINDS, Journal
from chapelle.run.operator import Operator
from chapelle.run.prepare import Scene
from chapelle.settings import Settings

# In the directory of a run that reverts another: the other's id.
REVERTS = "reverts"

# Everything of these kinds concerns all switches: what is wrong with one of them may leak a tenant.
FABRIC_WIDE = frozenset(
    {"ipam/vrfs", "ipam/route-targets", "ipam/asns", "ipam/vlans", "vpn/l2vpns"}
)


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now, and the switches that a command is about."""

    scene: Scene
    gears: dict[str, Gear]

    @property
    def dc(self) -> Datacentre:
        """The datacentre as NetBox says now."""
        return self.scene.dc


def stand(settings: Settings, scope: Scope, operator: Operator, *, reachable: bool = True) -> Stand:
    """Read NetBox and work out what the switches of a scope shall be.

    Raises:
        InputError: the scope means nothing, or NetBox's content makes switches unfit for a run.
    """
    scene = prepare.scene(settings, operator.say)
    return on_stand(settings, scene, scope, operator, reachable=reachable)


def on_stand(
    settings: Settings, scene: Scene, scope: Scope, operator: Operator, *, reachable: bool = True
) -> Stand:
    """The same, with what NetBox says at hand."""
    selection = select_switches(scene.dc, scope)
    for device in selection.left_out:
        operator.say(f"{device.name} is left out: its status is {device.status}")
    ids = {device.id for device in selection.devices}
    prepare.require_sound(scene.dc, ids, operator.say, FABRIC_WIDE)
    gears = survey.gears(settings, scene.dc, selection.devices, reachable=reachable)
    return Stand(scene=scene, gears=gears)


def with_nodes(settings: Settings, scene: Scene, scope: Scope, operator: Operator) -> Stand:
    """The same; with target lab, the switches' nodes are started first.

    What a node's kernel can do is known only when it runs.
    """
    known = on_stand(settings, scene, scope, operator, reachable=False)
    prepare.hosts(settings, scene.dc, sorted(known.gears), operator.say)
    devices = [gear.device for gear in known.gears.values()]
    return Stand(scene=scene, gears=survey.gears(settings, scene.dc, devices))


def as_before(
    settings: Settings, scene: Scene, run: str, journal: Journal, operator: Operator
) -> Stand:
    """The switches that a run changed, as they were before it.

    Raises:
        InputError: there is no such run, or it changed nothing.
    """
    applied = [h.host for h in journal.result(run).hosts if h.outcome == APPLIED]
    directory = folder_of(settings, run).path
    if journal.run(run).kind not in SWITCH_KINDS or not applied:
        raise InputError(
            f"Run {run} changed no switch that could be taken back.",
            where=str(journal.path),
            expected="a run of kind push with switches that are applied",
            found=f"a run of kind {journal.run(run).kind} with {len(applied)} of them",
            remedy=f"invoke runs.show {run} says what it did",
        )
    devices = [scene.dc.device(name) for name in applied]
    prepare.hosts(settings, scene.dc, applied, operator.say)
    gears = survey.gears(settings, scene.dc, devices)
    return Stand(
        scene=scene,
        gears={name: _gear_before(gear, Papers(directory, name)) for name, gear in gears.items()},
    )


def _gear_before(gear: Gear, kept: Papers) -> Gear:
    checkpoint, before = kept.get(papers.CHECKPOINT), kept.facts(papers.BEFORE)
    if checkpoint is None or before is None:
        raise InputError(
            f"Nobody knows any more what {gear.name} ran before.",
            where=str(kept.path),
            expected="the papers of the run",
            found="nothing: the directories of old runs are removed",
            remedy="the switch may still have its checkpoint: see docs/fabric.md",
        )
    return msgspec.structs.replace(
        gear,
        sections=ownership.owned(gear.target.platform, checkpoint),
        expected=expect.as_before(gear.expected.serial, before),
    )


def note_reverted(folder: Folder, run: str) -> None:
    """Note in a run's directory that it reverts another."""
    write(folder.path / REVERTS, run.encode())


def reverted(folder: Folder) -> str | None:
    """The run that the run of this directory reverts, if it does."""
    try:
        return (folder.path / REVERTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
