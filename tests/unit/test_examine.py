"""The loss of each leaf in turn, with switches in memory: what is shut, seen, and open again."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tenants
from switch_stand_in import Device, Session

from chapelle.drivers.switch.contract import SwitchError, Target
from chapelle.model.acceptance import FAILED, LINKS, LOSS, NOT_MEASURED, PASSED, Evidence, Line
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour, Port
from chapelle.run.fabric import survey
from chapelle.run.tenancy import examine
from chapelle.run.tenancy.examine import Examination, Wish
from chapelle.run.tenancy.lines import lines, tenant
from chapelle.settings import Settings

DC = tenants.datacentre()
HOUSING = tenant(DC, "paris-habitat")
LINES = lines(DC, HOUSING)
LEAFS = ("leaf-a3-ta", "leaf-a3-tb")


class Leaf(Device):
    """A leaf whose ports are up unless its configuration shuts them; `dead` ones never are."""

    def __init__(self, serial: str, running: str, own: tuple[Line, ...]) -> None:
        super().__init__()
        self.serial = serial
        self.running = self.startup = running
        self.own = own
        self.dead: set[str] = set()
        self.shut_once: set[str] = set()

    def facts(self) -> Facts:
        shut = {
            port
            for port in (line.switch_port for line in self.own)
            if f"interface {port}\n shutdown\n" in self.running
        }
        self.shut_once |= shut
        up = {line.switch_port: line.switch_port not in shut | self.dead for line in self.own}
        return Facts(
            identity=Identity(serial=self.serial, hostname=""),
            ports=tuple(Port(name=name, enabled=True, up=good) for name, good in up.items()),
            neighbours=tuple(
                Neighbour(interface=line.switch_port, system=line.edge, port=line.port)
                for line in self.own
            ),
            bgp=tuple(
                BgpPeer(vrf=line.vrf, family="ipv4", peer=line.peer,
                        established=up[line.switch_port], prefixes=2)
                for line in self.own
            ),
        )  # fmt: skip


class LeafSession(Session):
    def _facts(self) -> Facts:
        assert isinstance(self._device, Leaf)
        return self._device.facts()


class Pair:
    def __init__(self, settings: Settings) -> None:
        gears = survey.gears(settings, DC, [DC.device(name) for name in LEAFS], reachable=False)
        self.leafs = {
            name: Leaf(
                gear.expected.serial,
                gear.sections,
                tuple(line for line in LINES if line.switch == name),
            )
            for name, gear in gears.items()
        }

    def connect(self, target: Target) -> Session:
        leaf = self.leafs[target.name]
        leaf.connect(target)
        return LeafSession(leaf)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(examine, "_POLL", 0.01)
    monkeypatch.setattr(examine, "SOON", 0.2)
    monkeypatch.setattr(examine, "BACK_SECONDS", 0.2)
    monkeypatch.setattr("chapelle.run.tenancy.withdraw._POLL", 0.01)
    return Pair(settings_of(tmp_path))


def settings_of(path: Path) -> Settings:
    # Of a site: switches there are whole, and nobody starts nodes.
    return Settings.load({"CHAPELLE_STATE": str(path), "CHAPELLE_TARGET": "site"})


@pytest.fixture
def examined(pair: Pair, tmp_path: Path) -> Callable[..., list[Evidence]]:
    def run(**wish: str) -> list[Evidence]:
        examination = Examination(
            settings_of(tmp_path), DC, HOUSING, Wish(tenant="paris-habitat", **wish),
            run="1", connect=pair.connect, say=lambda _: None,
        )  # fmt: skip
        examination.links()
        examination.measure()
        examination.losses()
        assert all(each.when > 0 for each in examination.evidence)
        return examination.evidence

    return run


def of(found: list[Evidence], area: str) -> dict[tuple[str, str], str]:
    return {(each.item, each.what): each.verdict for each in found if each.area == area}


def test_each_leaf_is_lost_in_turn_and_comes_back(
    pair: Pair, examined: Callable[..., list[Evidence]]
) -> None:
    before = {name: leaf.running for name, leaf in pair.leafs.items()}
    found = examined()
    assert set(of(found, LINKS).values()) == {PASSED}
    losses = [each for each in found if each.area == LOSS]
    for leaf in LEAFS:
        mine = [each for each in losses if each.item == leaf]
        # Seen by the switches, no probe, and back again.
        assert sorted(each.verdict for each in mine) == [NOT_MEASURED, PASSED, PASSED], mine
        assert any("no probe" in each.found for each in mine)
        assert {"arm", "apply", "revert"} <= set(pair.leafs[leaf].calls)
    assert {name: leaf.running for name, leaf in pair.leafs.items()} == before
    assert not any(leaf.armed for leaf in pair.leafs.values())


def test_no_leaf_is_lost_while_the_other_does_not_carry(
    pair: Pair, examined: Callable[..., list[Evidence]]
) -> None:
    pair.leafs[LEAFS[1]].dead = {LINES[-1].switch_port}
    found = examined()
    losses = [each for each in found if each.area == LOSS]
    assert {each.verdict for each in losses} == {FAILED}
    assert all("would have lost all" in each.found for each in losses)
    assert not any("apply" in leaf.calls for leaf in pair.leafs.values())


def test_a_leaf_that_cannot_be_shut_fails_and_is_as_before(
    pair: Pair, examined: Callable[..., list[Evidence]]
) -> None:
    leaf = pair.leafs[LEAFS[0]]
    before = leaf.running
    leaf.faults["apply"] = ("after", SwitchError("% Unknown command"))
    losses = [each for each in examined() if each.area == LOSS and each.item == LEAFS[0]]
    assert [each.verdict for each in losses] == [FAILED]
    assert "Unknown command" in losses[0].found
    assert leaf.running == before
    assert not leaf.armed


def test_a_leaf_that_does_not_answer_fails(
    pair: Pair, examined: Callable[..., list[Evidence]]
) -> None:
    pair.leafs[LEAFS[0]].away_until = float("inf")
    found = examined()
    assert of(found, LINKS)[str(LINES[0]), "link"] == FAILED
    assert {each.verdict for each in found if each.area == LOSS} == {FAILED}
    assert not any("apply" in leaf.calls for leaf in pair.leafs.values())


def test_without_loss_no_port_is_shut(pair: Pair, examined: Callable[..., list[Evidence]]) -> None:
    found = examined(loss="not measured: left out")
    assert {each.verdict for each in found if each.area == LOSS} == {NOT_MEASURED}
    assert not any("apply" in leaf.calls for leaf in pair.leafs.values())


def test_a_line_that_does_not_come_back_fails(
    pair: Pair, examined: Callable[..., list[Evidence]]
) -> None:
    leaf = pair.leafs[LEAFS[0]]
    leaf.meanwhile["revert"] = lambda: leaf.dead.add(leaf.own[0].switch_port)
    mine = [each for each in examined() if each.area == LOSS and each.item == LEAFS[0]]
    assert {each.what: each.verdict for each in mine}["swp1 opened again"] == FAILED
