"""What people and programs see of a run as it happens."""

import io
import json
import os
import re
import time

import msgspec
import pytest
import report_samples as samples
from rich.console import Console

from chapelle.errors import InputError
from chapelle.model.outcome import STEPS, Event
from chapelle.report import live
from chapelle.report.live import choose_mode, display
from chapelle.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Broken(io.StringIO):
    def write(self, _text):
        raise BrokenPipeError


def shown(mode, events, hosts=None, **more):
    out = io.StringIO()
    with display(mode, hosts or samples.racks(), out, **more) as see:
        for event in events:
            see(event)
    return out.getvalue()


def screen(progress, width=80, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(live._Terminal(progress, console))
    return console.file.getvalue().splitlines()


def big_run():
    """300 hosts in 24 racks."""
    return {f"host-{n:03}": f"A{n // 75 + 1}-R{n % 75 // 13 + 1:02}" for n in range(300)}


def test_mode_follows_the_stream(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert choose_mode(out=Terminal()) == "live"
    assert choose_mode(out=io.StringIO()) == "plain"
    assert choose_mode(json=True, out=Terminal()) == "json"
    monkeypatch.setenv("TERM", "dumb")
    assert choose_mode(out=Terminal()) == "plain"


def test_unknown_mode_is_an_error():
    with pytest.raises(InputError, match="no such display"), display("video", {}, io.StringIO()):
        pass


def test_json_gives_back_every_event_and_nothing_else():
    events = list(samples.events())
    lines = shown("json", events).splitlines()
    assert [msgspec.json.decode(line, type=Event) for line in lines] == events


def test_plain_has_a_line_for_each_host_batch_and_failure():
    lines = shown("plain", samples.events()).splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d |         ", line) for line in lines)
    hosts = [re.match(r"\S+ host (\S+) \((\S+)\) (\w+)$", line) for line in lines]
    seen = {match[1]: (match[2], match[3]) for match in hosts if match}
    assert seen.keys() == samples.racks().keys()
    assert seen["compute-a2-20"] == ("A2-R02", "failed")
    assert [line for line in lines if " failed compute-a2-20 (A2-R02) configure failed: " in line]
    assert sum(" started" in line and " batch " in line for line in lines) == 7
    assert lines[-1].endswith("run finished after 4 min 40 s: 74 changed, 1 failed")


def test_plain_keeps_to_80_columns_and_loses_nothing():
    message = "dpkg: error processing package " + " ".join(f"word{n}" for n in range(40))
    event = Event(
        time=samples.START,
        kind="step-finished",
        host="compute-a2-01",
        step="configure",
        outcome="failed",
        message=message,
    )
    lines = shown("plain", [event]).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
    assert "word39" in lines[-1]


def test_plain_tells_the_time_left_once_it_can_be_told():
    lines = [x for x in shown("plain", samples.events()).splitlines() if re.search(r"ch \d fin", x)]
    assert "left" not in lines[0]
    assert lines[1].endswith("about 3 min left")
    assert lines[5].endswith("about 30 s left")
    assert "left" not in lines[6]


def test_control_characters_of_a_host_do_not_reach_the_terminal():
    event = Event(
        time=samples.START,
        kind="step-finished",
        host="compute-a2-01",
        step="configure",
        outcome="failed",
        message="\x1b[2J\x07[bold]gone[/bold]\u202etxt",
    )
    text = shown("plain", [event])
    assert not set("\x1b\x07\u202e") & set(text)
    assert "[bold]gone[/bold]" in text


@pytest.mark.parametrize("mode", live.MODES)
def test_a_lost_stream_does_not_end_the_run(mode):
    with display(mode, samples.racks(), Broken()) as see:
        for event in samples.events():
            see(event)


def test_live_prints_failures_and_leaves_no_table_behind(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    with display("live", samples.racks(), out) as see:
        for event in samples.events():
            see(event)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "compute-a2-20 (A2-R02) configure: No space left on device" in text
    after_table = out.getvalue().rpartition("write-back")[2]
    assert after_table.count("\x1b[1A\x1b[2K") >= len(set(samples.racks().values()))


def test_live_without_colour(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    with display("live", samples.racks(), out) as see:
        for event in samples.events():
            see(event)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", out.getvalue())


def test_screen_shows_where_every_rack_is():
    progress = Progress(samples.racks())
    for event in samples.events():
        progress.see(event)
        if event.kind == "batch-started" and event.batch == 4:
            break
    lines = screen(progress)
    assert "batch 4" in lines[0]
    assert "26 of 75 hosts" in lines[0]
    assert lines[1].split("   ") == ["25 changed", "1 failed", "49 pending"]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("A2-R")}
    assert rows["A2-R01"] == ["13/13", "13", "13", "13", "13", "-"]
    assert rows["A2-R02"] == ["13/13", "13", "12", "12", "12", "1"]
    assert rows["A2-R06"] == ["0/10", "-", "-", "-", "-", "-"]


def test_300_hosts_in_24_racks_fit_80_by_24():
    hosts = big_run()
    progress = Progress(hosts)
    now = time.time()
    for number, (host, rack) in enumerate(hosts.items()):
        progress.see(Event(time=now, kind="step-started", host=host, step="preflight"))
        if number < 150:
            progress.see(Event(time=now, kind="host-finished", host=host, outcome="unchanged"))
        if number % 12:
            continue
        lines = screen(progress)
        assert len(lines) <= 23
        assert max(map(len, lines)) <= 80
        shown_hosts = [re.search(r"(\d+)/(\d+)", line) for line in lines]
        assert sum(int(found[2]) for found in shown_hosts if found) == 300, rack


def test_racks_at_work_are_shown_on_their_own():
    hosts = big_run()
    progress = Progress(hosts)
    for host, rack in hosts.items():
        if rack == "A3-R02":
            progress.see(Event(time=0, kind="step-started", host=host, step="verify"))
    rows = live.fit(progress.racks, 5)
    assert [row.name for row in rows] == ["A3-R02", "23 racks waiting"]
    assert rows[0].running["verify"] == 13


def test_expected_duration_gives_the_first_guess():
    progress = Progress(samples.racks(), expected_seconds=120.0)
    progress.see(Event(time=1000.0, kind="run-started"))
    assert progress.remaining(1030.0) == 90.0
    assert progress.remaining(1130.0) is None


def test_guess_of_the_end_is_near_when_the_pace_is_even():
    events = list(samples.events())
    end = events[-1].time
    progress = Progress(samples.racks())
    for event in events:
        progress.see(event)
        if event.kind == "batch-finished" and 2 <= event.batch < 7:
            left = progress.remaining(event.time)
            assert left == pytest.approx(end - event.time, abs=25)


def test_steps_of_a_drift_have_no_write_back():
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(live._Terminal(Progress(samples.racks(), STEPS[:-1]), console))
    assert "verify" in console.file.getvalue()
    assert "write-back" not in console.file.getvalue()


def test_a_run_that_only_looks_speaks_of_differences():
    events = [
        Event(time=1.0, kind="host-finished", host="compute-a2-01", outcome="changed"),
        Event(time=2.0, kind="run-finished"),
    ]
    one, end = shown("plain", events, steps=STEPS[:-1]).splitlines()
    assert one.endswith("host compute-a2-01 (A2-R01) differing")
    assert end.endswith("1 differing, 74 pending")


def test_json_lines_are_flushed_one_by_one(tmp_path):
    path = tmp_path / "events"
    with path.open("w") as out, display("json", {}, out) as see:
        see(Event(time=1.0, kind="note", message="first"))
        assert json.loads(path.read_text())["message"] == "first"


def test_an_encoding_without_the_characters_is_no_error():
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="ascii") as out, display("plain", {}, out) as see:
        see(Event(time=1.0, kind="note", message="réseau"))
    with os.fdopen(read) as lines:
        assert "note: r?seau" in lines.read()
