"""What an acceptance makes of what it finds: nothing passes that nobody looked at."""

import msgspec
import pytest
import tenants
from fabric_datacentre import edited, find, on_platform

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.tenancy.acceptance import line as measuring
from chapelle.checks.tenancy.acceptance import links, premises
from chapelle.checks.tenancy.acceptance.line import Agreed
from chapelle.checks.tenancy.acceptance.loss import Loss
from chapelle.checks.tenancy.view import view
from chapelle.drivers.probe import pings
from chapelle.errors import InputError
from chapelle.fabric.intent import intent
from chapelle.fabric.ownership import diff
from chapelle.fabric.render import render
from chapelle.model.acceptance import (
    AREAS,
    FAILED,
    ISOLATION,
    NOT_MEASURED,
    PASSED,
    Acceptance,
    Line,
    Pings,
)
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.isolation import INTENT, RUNNING, Proof
from chapelle.model.snapshot import Snapshot
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour, Port
from chapelle.report import acceptance as report
from chapelle.run.tenancy import evidence as kept
from chapelle.run.tenancy import lines as lines_of
from chapelle.run.tenancy.withdraw import shut
from chapelle.settings import Settings

DC = tenants.datacentre()
HOUSING = lines_of.tenant(DC, "Paris Habitat")
HOSPITALS = lines_of.tenant(DC, "ap-hp")

GROUP = Line(switch="leaf-a1-ta", switch_port="swp1", edge="edge-ap-hp-a1", port="et1", aisle="1",
             group="bond1")  # fmt: skip
ROUTED = Line(switch="leaf-a3-ta", switch_port="swp1", edge="edge-paris-habitat-a3", port="et1",
              aisle="3", vrf="paris-habitat", peer="10.79.0.1", most=50)  # fmt: skip


def facts(line: Line, *, up: bool = True, system: str = "", prefixes: int | None = 2) -> Facts:
    """What a switch says of a line that is as it should be, or not."""
    return Facts(
        identity=Identity(serial="1", hostname=line.switch),
        ports=tuple(
            Port(name=name, enabled=True, up=up) for name in (line.group, line.switch_port) if name
        ),
        neighbours=(
            Neighbour(interface=line.switch_port, system=system or line.edge, port=line.port),
        ),
        bgp=()
        if prefixes is None
        else (
            BgpPeer(
                vrf="paris-habitat",
                family="ipv4",
                peer="10.79.0.1",
                established=up,
                prefixes=prefixes,
            ),
        ),
    )


def verdicts(line: Line, said: Facts, lacking: str = "") -> dict[str, str]:
    return {
        each.what: each.verdict for each in links.judge(line, said, DC.devices_by_name, lacking)
    }


# -- lines ----------------------------------------------------------------------------------------


def test_lines_are_those_of_the_cables_with_their_groups_and_sessions() -> None:
    found = lines_of.lines(DC, HOSPITALS)
    assert [str(line) for line in found if line.aisle == "1"] == [
        "edge-ap-hp-a1 et1 - leaf-a1-ta swp1",
        "edge-ap-hp-a1 et3 - leaf-a1-ta swp2",
        "edge-ap-hp-a1 et2 - leaf-a1-tb swp1",
        "edge-ap-hp-a1 et4 - leaf-a1-tb swp2",
    ]
    assert {line.group for line in found} == {"bond1"}
    routed = lines_of.lines(DC, HOUSING)
    assert len(routed) == 2
    assert {(line.vrf, line.most, line.routed) for line in routed} == {("paris-habitat", 50, True)}
    assert lines_of.tenant(DC, "paris-habitat") == HOUSING
    with pytest.raises(InputError, match="no tenant") as error:
        lines_of.tenant(DC, "ratp")
    assert "ap-hp" in (error.value.expected or "")


def test_a_line_that_is_up_passes() -> None:
    good = {"port swp1": PASSED, "neighbour (LLDP)": PASSED}
    assert verdicts(GROUP, facts(GROUP)) == {**good, "group bond1": PASSED}
    assert verdicts(ROUTED, facts(ROUTED)) == {**good, "BGP session": PASSED}
    assert links.is_up(GROUP, facts(GROUP))
    assert links.is_up(ROUTED, facts(ROUTED))


def test_a_line_that_is_down_fails() -> None:
    assert verdicts(GROUP, facts(GROUP, up=False))["group bond1"] == FAILED
    assert verdicts(ROUTED, facts(ROUTED, up=False))["BGP session"] == FAILED
    assert verdicts(ROUTED, facts(ROUTED, prefixes=None))["BGP session"] == FAILED
    assert verdicts(ROUTED, facts(ROUTED, prefixes=51))["BGP session"] == FAILED
    assert not links.is_up(GROUP, facts(GROUP, up=False))
    assert not links.is_up(ROUTED, facts(ROUTED, prefixes=None))


@pytest.mark.parametrize(
    ("system", "verdict"),
    [
        ("edge-ap-hp-a1.chapelle.example", PASSED),
        ("edge-eau-de-paris-a2", FAILED),
        ("a-router-of-the-hospitals", NOT_MEASURED),
    ],
)
def test_a_neighbour_of_another_name_fails_only_when_it_is_somebody_else(
    system: str, verdict: str
) -> None:
    assert verdicts(GROUP, facts(GROUP, system=system))["neighbour (LLDP)"] == verdict


def test_what_a_container_cannot_have_is_not_measured() -> None:
    found = verdicts(GROUP, facts(GROUP), lacking="no links here")
    assert found["group bond1"] == NOT_MEASURED
    assert verdicts(ROUTED, facts(ROUTED, prefixes=None), "no")["BGP session"] == NOT_MEASURED


# -- the loss of a leaf ---------------------------------------------------------------------------

LOSS = Loss(leaf="leaf-a1-ta", lines=(GROUP,))


def test_the_other_leaf_has_to_carry() -> None:
    assert LOSS.seen({ROUTED: True}).verdict == PASSED
    assert LOSS.seen({ROUTED: False}).verdict == FAILED
    assert LOSS.seen({}).verdict == FAILED
    assert LOSS.came_back([]).verdict == PASSED
    assert LOSS.came_back([GROUP]).verdict == FAILED
    assert LOSS.no_packets("no probe").verdict == NOT_MEASURED


@pytest.mark.parametrize(
    ("settled", "whole", "verdict"),
    [
        (Pings(sent=50, received=50, gap=0.2), Pings(sent=500, received=480, gap=3.1), PASSED),
        (Pings(sent=50, received=49, gap=0.4), Pings(sent=500, received=480, gap=3.1), FAILED),
        (Pings(sent=50, received=50, gap=0.2), Pings(sent=500, received=400, gap=20.0), FAILED),
        (Pings(sent=0, received=0, gap=0.0), Pings(sent=0, received=0, gap=0.0), FAILED),
    ],
)
def test_packets_decide(settled: Pings, whole: Pings, verdict: str) -> None:
    assert LOSS.carried(settled, whole, "ping").verdict == verdict


@pytest.mark.parametrize("platform", ["frr", "arista_eos", "cisco_nxos"])
def test_ports_are_shut_and_nothing_else_changes(platform: str) -> None:
    content = tenants.content()
    dc = Datacentre(Snapshot(content if platform == "frr" else on_platform(content, platform)))
    switch = intent(dc, dc.device("leaf-a1-ta"))
    before = render(switch)
    port = switch.attachments[0].ports[0]
    after = shut(platform, before, [port])
    lines = [line.strip() for line in diff(platform, before, after).splitlines()]
    changed = {line for line in lines if line[0] in "+-"}
    assert f"interface {port}" in lines
    assert {line.replace(" ", "") for line in changed} <= {"+shutdown", "-noshutdown"}
    assert len(changed) >= 1
    assert shut(platform, after, [port]) == after


def test_a_port_that_is_not_there_cannot_be_shut() -> None:
    with pytest.raises(InputError, match="cannot be shut"):
        shut("frr", "interface swp1\n description x\nexit\n", ["swp2"])
    with pytest.raises(InputError, match="cannot be shut"):
        shut("junos", "interface swp1\n", ["swp1"])


# -- measuring ------------------------------------------------------------------------------------

SAID = """PING 10.80.0.1 (10.80.0.1) 56(84) bytes of data.
[1700000000.100000] 64 bytes from 10.80.0.1: icmp_seq=1 ttl=64 time=0.300 ms
[1700000000.300000] 64 bytes from 10.80.0.1: icmp_seq=2 ttl=64 time=0.500 ms
[1700000000.700000] no answer yet for icmp_seq=3
[1700000000.900000] From 10.80.0.5 icmp_seq=4 Destination Host Unreachable
[1700000003.300000] 64 bytes from 10.80.0.1: icmp_seq=5 ttl=64 time=0.700 ms
"""


def test_answers_are_counted_whether_ping_ended_or_was_cut_off() -> None:
    found = pings(SAID)
    assert (found.sent, found.received, found.lost, found.typical) == (5, 3, 2, 0.5)
    assert found.gap == pytest.approx(3.0)
    ended = pings(f"{SAID}\n--- 10.80.0.1 ping statistics ---\n7 packets transmitted, 3 received")
    assert (ended.sent, ended.lost) == (7, 4)
    assert pings("ping: connect: Network is unreachable") == Pings(sent=0, received=0, gap=0.0)


def test_a_figure_is_judged_by_what_was_agreed() -> None:
    heard = Pings(sent=20, received=20, gap=0.2, typical=0.8)
    assert measuring.latency("a to b", heard, Agreed()).verdict == PASSED
    assert measuring.latency("a to b", heard, Agreed(milliseconds=0.5)).verdict == FAILED
    lossy = msgspec.structs.replace(heard, received=19)
    assert measuring.latency("a to b", lossy, Agreed()).verdict == FAILED
    silent = Pings(sent=20, received=0, gap=4.0)
    assert measuring.latency("a to b", silent, Agreed()).verdict == FAILED
    assert measuring.throughput("a to b", 900.0, Agreed()).verdict == PASSED
    assert measuring.throughput("a to b", 900.0, Agreed(megabits=1000)).verdict == FAILED
    assert measuring.throughput("a to b", 0.0, Agreed()).verdict == FAILED


# -- power, meters, isolation ---------------------------------------------------------------------


def test_feeds_are_as_they_should_be_and_voltage_is_nobody_s_guess() -> None:
    found = list(premises.power(Plant(DC), HOUSING))
    racks = [rack.name for rack in premises.racks(DC, HOUSING)]
    assert len(racks) == 12
    by_verdict = {each.what: each.verdict for each in found if each.item == racks[0]}
    assert set(by_verdict.values()) == {PASSED}
    assert f"loss of {racks[0]}-A" in by_verdict
    cords = [each for each in found if each.item == "edge-paris-habitat-a3"]
    assert [each.verdict for each in cords] == [PASSED]
    voltages = [each for each in found if each.what.startswith("voltage")]
    assert len(voltages) == 24
    assert {each.verdict for each in voltages} == {NOT_MEASURED}
    assert all("no meter" in each.found for each in voltages)


def test_a_feed_of_somebody_else_and_cords_on_one_side_fail() -> None:
    content = tenants.content()
    rack = premises.racks(DC, HOUSING)[0]
    feed = premises.feeds(DC, rack)[0]
    content = edited(content, "power_feeds", feed, tenant=None)
    second = find(content, "power_ports", device=DC.device("edge-paris-habitat-a3").id, name="PSU2")
    content = edited(content, "power_ports", second, cable=None)
    plant = Plant(Datacentre(Snapshot(content)))
    bad = {each.item for each in premises.power(plant, HOUSING) if each.verdict == FAILED}
    assert {rack.name, "edge-paris-habitat-a3"} <= bad


def test_readings_are_entered_by_somebody_or_are_not_measured() -> None:
    rack = premises.racks(DC, HOUSING)[0].name
    readings = {f"{rack}-A": 0.0, f"{rack}-B": 12.5}
    found = {e.item: e for e in premises.meters(DC, HOUSING, readings, "anne@host")}
    assert len(found) == 24
    assert found[f"{rack}-A"].verdict == PASSED
    assert "anne@host" in found[f"{rack}-A"].how
    assert found[f"{rack}-B"].verdict == FAILED
    others = {each.verdict for name, each in found.items() if name not in readings}
    assert others == {NOT_MEASURED}


def test_a_leak_fails_and_so_does_what_nobody_could_read() -> None:
    leak = Finding(
        rule="leaked-target", severity="error", expected="-", found="imports 4200000000:101",
        objects=(ObjectRef(endpoint="ipam/vrfs", id=1, name="ap-hp"),), remedy="-",
    )  # fmt: skip
    running = Proof(source=RUNNING, leaks=(leak,), unread={"leaf-a1-ta": "no answer"})
    found = list(premises.isolation(running))
    assert [(each.item, each.verdict) for each in found] == [
        ("ap-hp", FAILED),
        ("leaf-a1-ta", FAILED),
    ]
    (good,) = premises.isolation(Proof(source=INTENT, leaks=(), switches=31))
    assert good.verdict == PASSED
    assert "31 switches" in good.how
    assert premises.not_looked_at("no links here").verdict == NOT_MEASURED


# -- evidence -------------------------------------------------------------------------------------


def acceptance(*verdicts_: str, run: str = "20270101T000000-0000") -> Acceptance:
    evidence = tuple(
        msgspec.structs.replace(LOSS.no_packets("\x1b[2J"), verdict=verdict, when=1.7e9)
        for verdict in verdicts_
    )
    return Acceptance(
        tenant="ap-hp", name="AP-HP", run=run, owner="anne", target="lab", snapshot="0" * 64,
        commit="1" * 40, started=1.7e9, finished=1.7e9 + 60, evidence=evidence,
    )  # fmt: skip


def test_what_failed_stands_in_the_way_and_what_was_not_measured_does_not() -> None:
    assert acceptance(PASSED, NOT_MEASURED).accepted
    assert not acceptance(PASSED, FAILED).accepted
    text = "\n".join(report.lines(acceptance(PASSED, FAILED, NOT_MEASURED)))
    assert "NOT accepted: 1 passed, 1 failed, 1 not measured" in text
    assert "expected:" in text
    assert "the lab's" in text
    assert "2023-11-14T22:13:20Z" in text
    assert "\x1b" not in text
    document = report.document(acceptance(PASSED))
    assert document["accepted"] is True
    assert document["acceptance"]["evidence"][0]["verdict"] == PASSED


def test_a_terminal_shows_what_failed_in_full_and_the_rest_together() -> None:
    made = acceptance(*[PASSED] * 40, FAILED, NOT_MEASURED)
    text = list(report.brief(made))
    assert len(text) < 15
    assert text[-1] == "NOT accepted: 40 passed, 1 failed, 1 not measured"
    assert sum("expected:" in line for line in text) == 1
    (passed,) = [line for line in text if line.startswith("  passed")]
    assert "(40, from " in passed


def test_evidence_is_kept_for_machines_and_for_people(tmp_path) -> None:
    made = acceptance(PASSED, FAILED)
    folder = kept.keep(Settings.load({"CHAPELLE_STATE": str(tmp_path)}), made, DC.snapshot)
    assert folder == tmp_path / "runs" / made.run
    assert {path.name for path in folder.iterdir()} == {
        "acceptance.json", "acceptance.txt", "snapshot.json",
    }  # fmt: skip
    again = msgspec.json.decode((folder / kept.DOCUMENT).read_bytes(), type=Acceptance)
    assert again == made
    assert (folder / kept.TEXT).read_text().splitlines() == list(report.lines(made))
    assert Snapshot.read(folder / kept.SNAPSHOT).hash == DC.snapshot.hash


def test_the_file_for_both_sides_takes_it_and_tells_of_nobody_else(tmp_path) -> None:
    leak = Finding(
        rule="leaked-target", severity="error", expected="-", found="imports eau-de-paris",
        objects=(ObjectRef(endpoint="ipam/vrfs", id=1, name="eau-de-paris"),), remedy="-",
    )  # fmt: skip
    strange = links.judge(GROUP, facts(GROUP, system="edge-eau-de-paris-a2"), DC.devices_by_name)
    heard = Pings(sent=20, received=20, gap=0.2, typical=0.8)
    made = msgspec.structs.replace(
        acceptance(),
        evidence=(
            *strange,
            measuring.latency("edge-ap-hp-a1 to gateway 10.80.0.1", heard, Agreed()),
            measuring.throughput("edge-ap-hp-a1 to edge-ap-hp-a2", 900.0, Agreed()),
            LOSS.carried(heard, heard, "ping"),
            *premises.power(Plant(DC), HOSPITALS),
            *premises.meters(DC, HOSPITALS, {"A1-R07-A": 0.0}, "anne"),
            *premises.isolation(Proof(source=INTENT, leaks=(leak,))),
            *premises.isolation(Proof(source=RUNNING, leaks=())),
        ),
    )
    settings = Settings.load({"CHAPELLE_STATE": str(tmp_path)})
    kept.keep(settings, made, DC.snapshot)
    shown = view(DC, "ap-hp", kept.latest(settings, "ap-hp")).acceptance
    assert shown is not None
    assert {each.area for each in shown.evidence} == {*AREAS}
    assert [e.verdict for e in shown.evidence if e.area == ISOLATION] == [FAILED]
    assert "eau-de-paris" not in msgspec.json.encode(shown).decode()
    assert kept.latest(settings, "eau-de-paris") is None
