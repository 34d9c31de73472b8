"""What people read at the end of a run, of a plan, of drift, and of runs long past."""

import io
import json
import re

import msgspec
import plan_datacentre
import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.outcome import Change, Difference, RunResult
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.plan import build
from chapelle.plan.scope import parse
from chapelle.report import analysis, content, drift, runs, summary, text
from chapelle.report.plan import print_plan

URL = "http://127.0.0.1:8001"
REPORT = "/var/lib/chapelle/runs/20261123T190000-4f1c/report.html"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def summarised(result):
    out = io.StringIO()
    summary.print_summary(result, out, netbox_url=URL, report=REPORT)
    return out.getvalue()


def drift_of(result, out=None, **more):
    out = out or io.StringIO()
    drift.print_drift(result, out, **more)
    return out.getvalue()


def one_host(*changes, differences=()):
    done = samples.steps(changes=tuple(changes), differences=tuple(differences))
    return samples.result((samples.host("compute-a2-01", "changed", done),), kind="drift")


# -- the summary ----------------------------------------------------------------------------------


def test_nothing_to_change_is_said_plainly():
    lines = summarised(samples.unchanged()).splitlines()
    assert "Nothing to change: 75 of 75 servers are as NetBox says." in lines
    assert "75 unchanged" in lines
    assert "What failed" not in lines
    assert "  bonding: this kernel has none (75 hosts)" in lines
    assert f"NetBox: {URL}" in lines
    assert f"Report: {REPORT}" in lines


@pytest.mark.parametrize("outcome", ["failed", "unreachable", "unknown", "pending", "changed"])
def test_nothing_to_change_is_not_said_when_one_host_differs(outcome):
    result = samples.unchanged()
    odd = msgspec.structs.replace(result.hosts[3], outcome=outcome)
    result = msgspec.structs.replace(result, hosts=(odd, *result.hosts[4:]))
    assert "Nothing to change" not in summarised(result)


def test_nothing_to_change_is_not_said_of_no_hosts():
    assert "Nothing to change" not in summarised(samples.result(()))


def test_first_run_says_what_changed_and_on_how_many():
    shown = summarised(samples.first_run())
    assert "75 changed" in shown
    assert "NetBox status: 75 planned -> active" in shown
    assert "  time on 75 hosts: file /etc/chrony/chrony.conf; unit chrony.service" in shown
    assert "  time on infra-a2-01..03: file /etc/chrony/conf.d/serve.conf" in shown


def test_failures_name_host_rack_step_message_and_next_command():
    shown = summarised(samples.troubled())
    flat = " ".join(shown.split())
    assert "34 changed, 3 failed, 1 unreachable, 1 unknown, 36 pending" in shown
    assert "Stopped: 5 hosts failed, and the failure budget is 3." in shown
    for words in (
        "compute-a2-02 (A2-R01) failed in configure: apt: dpkg was interrupted [red]run[/red]",
        "compute-a2-03..04 (A2-R01) failed in configure: No space left on device: /etc/chrony",
        "compute-a2-05 (A2-R01) unreachable in preflight: ssh: connect to host: No route",
        "next: invoke provision --limit=compute-a2-03,compute-a2-04",
        "compute-a2-06 (A2-R01) unknown in configure: the controller died during this step",
        "next: invoke provision --resume=20261123T190000-4f1c",
    ):
        assert words in flat


@pytest.mark.parametrize(
    "make", [samples.unchanged, samples.first_run, samples.troubled, samples.drifted]
)
def test_summary_fits_a_screen(make):
    lines = summarised(make()).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 36


def test_summary_of_many_failures_and_changes_stays_short():
    names = list(samples.hosts())
    hosts = [
        samples.host(
            name,
            "failed",
            samples.steps(
                upto="configure",
                outcome="failed",
                message=f"reason {number}",
                changes=(Change(role=f"role{number}", kind="file", item="/x"),),
            ),
        )
        for number, name in enumerate(names)
    ]
    shown = summarised(samples.result(tuple(hosts), exit_code=5))
    assert len(shown.splitlines()) <= 40
    assert "and 70 hosts more: see the report" in shown
    assert "75 failed" in shown


def test_an_early_stop_with_details_keeps_its_lines():
    result = samples.result(
        samples.troubled().hosts,
        exit_code=4,
        stopped="The lock was lost.\n  found:    held by somebody",
    )
    lines = summarised(result).splitlines()
    assert "Stopped: The lock was lost." in lines
    assert "  found:    held by somebody" in lines


def test_dry_run_speaks_of_what_would_be():
    result = msgspec.structs.replace(samples.first_run(), dry_run=True)
    shown = summarised(result)
    assert "Dry run: 75 of 75 servers would be changed." in shown
    assert "75 to be changed" in shown
    assert "What would change" in shown
    assert "To do it: invoke provision --aisle=2" in shown


def test_summary_has_no_colour_in_a_file_and_has_it_on_a_terminal(monkeypatch):
    assert "\x1b" not in summarised(samples.troubled())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    summary.print_summary(samples.troubled(), out)
    assert "\x1b[" in out.getvalue()


def test_json_result_parses_back():
    out = io.StringIO()
    summary.print_json(samples.troubled(), out)
    (line,) = out.getvalue().splitlines()
    document = json.loads(line)
    assert document["kind"] == "result"
    assert msgspec.convert(document["result"], RunResult) == samples.troubled()


# -- drift ----------------------------------------------------------------------------------------


def test_drift_has_one_line_a_difference_and_the_command():
    lines = drift_of(samples.drifted()).splitlines()
    header, *rows = [re.split(r"  +", line) for line in lines[:4]]
    assert header == ["host", "area", "item", "expected", "found"]
    assert rows == [
        [
            "compute-a2-07",
            "time",
            "file /etc/chrony/chrony.conf",
            "server 10.64.0.11 iburst",
            "pool 2.debian.pool.ntp.org iburst",
        ],
        ["compute-a2-07", "firewall", "port 8080/tcp", "closed", "open to 0.0.0.0/0"],
        ["infra-a2-01", "time", "unit chrony.service", "active", "inactive"],
    ]
    assert "3 differences on 2 of 75 servers" in lines
    assert lines[-1] == "To mend it: invoke provision --limit=compute-a2-07,infra-a2-01"


def test_drift_prints_nothing_without_differences():
    assert drift_of(samples.unchanged()) == ""


def test_drift_fits_a_terminal_and_is_whole_in_a_pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = Change(role="access", kind="file", item="/etc/" + "long/" * 30, before="a", after="b")
    result = one_host(long)
    assert long.item in drift_of(result)
    cut = re.sub(r"\x1b\[[0-9;]*m", "", drift_of(result, Terminal())).splitlines()
    assert max(map(len, cut[:2])) <= 80
    assert "compute-a2-01" in cut[1]
    assert "\N{HORIZONTAL ELLIPSIS}" in cut[1]


def test_what_role_and_verification_both_say_is_one_line():
    unit = Change(role="time", kind="unit", item="chrony.service", before="dead", after="active")
    seen = Difference(area="units", item="chrony.service", expected="active", found="dead")
    lines = analysis.drift_lines(one_host(unit, differences=[seen]))
    assert [(x.area, x.item) for x in lines] == [("time", "unit chrony.service")]


def test_a_restart_that_follows_from_a_file_is_no_difference():
    restart = Change(
        role="time", kind="unit", item="chrony.service", before="active", after="restarted"
    )
    assert len(analysis.drift_lines(one_host(samples.CHRONY, restart))) == 1
    assert len(analysis.drift_lines(one_host(restart))) == 1


def test_a_hole_in_the_firewall_is_shown_by_its_rule():
    hole = Change(
        role="firewall",
        kind="ruleset",
        item="table inet filter",
        before="same",
        after="same",
        diff="--- t\n+++ t\n@@ -1,2 +1 @@\n accept\n-\t\ttcp dport 4444 accept\n",
    )
    (line,) = analysis.drift_lines(one_host(hole))
    assert line.found == "tcp dport 4444 accept"


def test_equal_differences_of_several_hosts_can_share_a_line():
    spoiled = samples.steps(changes=(samples.CHRONY,))
    names = list(samples.hosts())[:9]
    hosts = tuple(samples.host(name, "changed", spoiled) for name in names)
    result = samples.result(hosts, kind="drift", exit_code=99)
    shown = drift_of(result, grouped=True)
    assert "compute-a2-01..09 (9)" in shown
    assert "9 differences on 9 of 9 servers" in shown
    assert "To mend it: invoke provision --rack=A2-R01" in shown
    assert len(drift_of(result).splitlines()) == len(shown.splitlines()) + 8


def test_drift_as_json():
    out = io.StringIO()
    drift.print_json(samples.drifted(), out)
    document = json.loads(out.getvalue())
    assert document["outcomes"] == {"unchanged": 73, "changed": 2}
    assert [entry["mend"] for entry in document["differences"]] == [
        "invoke provision --limit=compute-a2-07",
        "invoke provision --limit=compute-a2-07",
        "invoke provision --limit=infra-a2-01",
    ]


# -- plans, runs, findings ------------------------------------------------------------------------


def plan_of(kind="provision"):
    return build(
        plan_datacentre.two_aisles(),
        parse(aisle="1"),
        kind=kind,
        target="lab",
        commit="abc",
        kernels=WHOLE,
    )


def test_plan_says_what_will_happen_to_which_hosts():
    made = plan_of()
    out = io.StringIO()
    print_plan(made, out)
    shown = out.getvalue()
    assert "6 servers in 2 racks" in shown
    assert made.hash in shown
    assert "lab (twins on one machine, not the servers)" in shown
    assert re.search(r"2 planned: configured for the first time", shown)
    assert re.search(r"2 active: in service: compared", shown)
    assert re.search(r"2 failed: tried again", shown)
    assert "canary" in shown
    for host in made.hosts:
        assert host.name in shown
    assert "To do it: invoke provision --aisle=1" in shown


def test_plan_of_a_drift_changes_nothing():
    out = io.StringIO()
    print_plan(plan_of("drift"), out)
    assert "6 servers: compared and verified, nothing changed" in out.getvalue()
    assert "write-back" not in out.getvalue()


def test_plan_in_a_file_names_the_file():
    out = io.StringIO()
    print_plan(plan_of(), out, file="plan.json")
    assert out.getvalue().endswith("To apply exactly this: invoke provision --plan plan.json\n")


def test_runs_are_listed_with_state_exit_code_and_outcomes():
    open_run = msgspec.structs.replace(
        samples.unchanged(), id="open", finished=None, exit_code=-1, hosts=()
    )
    out = io.StringIO()
    runs.print_runs([samples.troubled(), samples.drifted(), open_run], out)
    header, stopped, done, at_work = out.getvalue().splitlines()
    assert header.split() == [
        "run", "started", "kind", "scope", "state", "exit", "took", "hosts",
    ]  # fmt: skip
    assert re.search(r"--aisle=2  stopped +5 +2 min 48 s +34 changed, 3 failed", stopped)
    assert re.search(r"drift +--aisle=2 +done +99 .*73 unchanged, 2 differing", done)
    assert re.search(r"^open .*not ended +- +-", at_work)


def test_no_runs_yet():
    out = io.StringIO()
    runs.print_runs([], out)
    assert out.getvalue() == "No runs yet. The first one: invoke provision --aisle=2\n"


def test_one_run_in_full():
    out = io.StringIO()
    runs.print_run(samples.troubled(), out, report=REPORT)
    shown = out.getvalue()
    assert "started    2026-11-23 20:00:00 Paris (19:00:00 UTC)" in shown
    for name in samples.hosts():
        assert re.search(rf"^{name} ", shown, re.MULTILINE)
    assert "apt: dpkg was interrupted [red]run[/red]" in shown
    assert REPORT in shown


def test_findings_are_printed_with_objects_and_remedy():
    finding = Finding(
        rule="duplicate-serial",
        severity="error",
        objects=(ObjectRef(endpoint="dcim/devices", id=7, name="web\x1b[31m"),),
        expected="one device",
        found="two",
        remedy="correct one",
    )
    lines = content.finding_lines([finding], URL)
    flat = "\n".join(lines)
    assert f"{URL}/dcim/devices/7/" in flat
    assert "\x1b" not in flat
    for words in ("duplicate-serial", "one device", "two", "correct one", "1 error"):
        assert words in flat


# -- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], ""),
        (["web-1"], "web-1"),
        (["web-02", "web-01", "web-03"], "web-01..03"),
        (["web-09", "web-10", "web-12"], "web-09..10, web-12"),
        (["web-9", "web-10"], "web-9, web-10"),
        (["a", "b"], "a, b"),
        ([f"h{n}x" for n in range(9)], "h0x, h1x, h2x, h3x, and 5 more"),
    ],
)
def test_host_names(names, shown):
    assert text.host_names(names) == shown


@given(st.sets(st.integers(0, 120), min_size=1))
def test_host_names_count_every_host(numbers):
    names = {f"web-{number:03}" for number in numbers}
    counted = 0
    for part in text.host_names(names, limit=1000).split(", "):
        first, _, last = part.removeprefix("web-").partition("..")
        counted += int(last or first) - int(first) + 1
    assert counted == len(names)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (168, "2 min 48 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration(seconds, shown):
    assert text.duration(seconds) == shown


@given(st.lists(st.lists(st.text(max_size=40), min_size=3, max_size=3), max_size=5))
def test_tables_fit_and_keep_their_rows(rows):
    lines = text.table(["one", "two", "three"], rows, 40)
    assert len(lines) == len(rows) + 1
    assert all(text.cell_len(line) <= 40 for line in lines)


def test_times_without_time_zone_data(monkeypatch):
    def none(_name):
        raise text.ZoneInfoNotFoundError

    monkeypatch.setattr(text, "ZoneInfo", none)
    assert text.moment(samples.START) == "2026-11-23 19:00:00 UTC"
