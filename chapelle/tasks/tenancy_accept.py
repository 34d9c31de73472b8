"""Task `tenant.accept`: what a tenant is handed over is examined, and the evidence kept."""

import math
import re
from typing import TYPE_CHECKING

from chapelle.errors import ExitCode, InputError
from chapelle.settings import Settings
from chapelle.tasks._command import command, confirm
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.snapshot import print_json, print_lines

if TYPE_CHECKING:
    from chapelle.run.tenancy.lines import Place

_PROBE = re.compile(r"(?P<aisle>\d+):(?P<host>[A-Za-z0-9_][\w.@-]*)(?:/(?P<address>[\d.]+))?")
_WITHOUT_LOSS = "not measured: left out (--without-loss)"


@command(
    help={
        "name": "The tenant's slug or name.",
        "probe": "Hosts of the tenant's that we may log in to, and that have ping and iperf3: "
        "AISLE:HOST/ADDRESS, with commas between; the address is its own in the tenant's network. "
        "In the lab the tenant's edges are, if none is named.",
        "meter": "Readings in kWh by feed, such as A2-R07-A=0.0,A2-R07-B=0.0.",
        "least-mbit": "Throughput that was agreed, in Mbit/s; otherwise the figure is only noted.",
        "most-ms": "Latency that was agreed, in milliseconds there and back.",
        "without-loss": "Shut no port: whether one leaf carries alone is not measured.",
        "dry-run": "Change nothing anywhere: shut no port, and write nothing.",
        "yes": "Do not ask before ports of the site's switches are shut.",
        "json": "Print the evidence as one JSON document.",
    }
)
def accept(
    _context: object,
    name: str,
    *,
    probe: str | None = None,
    meter: str | None = None,
    least_mbit: str | None = None,
    most_ms: str | None = None,
    without_loss: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> ExitCode:
    """Examine what a tenant is handed over, and keep the evidence with the run.

    1. Each line by what its switch says: port, group or BGP session, neighbour.
    2. Latency and throughput, from inside the tenant's network.
    3. Each leaf lost in turn: the tenant's ports are shut there for a moment, and open again
       whatever happens; the other leaf has to carry meanwhile.
    4. Feeds and cords, isolation, meter readings.
    5. When nothing failed, the tenant's edges become `active` in NetBox.

    What nobody can measure is called "not measured", with the reason.
    Exit codes: 0 nothing failed, 2 bad input, 3 refused, 4 locked, 5 something failed.
    """
    from chapelle.checks.tenancy.acceptance.line import Agreed
    from chapelle.report import acceptance as report
    from chapelle.run.tenancy import accept as accepting
    from chapelle.run.tenancy.examine import Wish

    settings = Settings.load()
    terminal = Terminal(json=json, yes=yes)
    wish = Wish(
        tenant=name,
        probes=_probes(probe),
        readings=_readings(meter),
        agreed=Agreed(
            megabits=_number("--least-mbit", least_mbit),
            milliseconds=_number("--most-ms", most_ms),
        ),
        loss=_WITHOUT_LOSS if without_loss else "",
    )

    def ask(lines: list[str]) -> None:
        if yes or settings.target == "lab":
            return
        terminal.say(
            "ports of the site's switches will be shut for a moment, one switch at a time:"
        )
        for line in lines:
            terminal.say(f"  {line}")
        confirm("Go on?")

    done = accepting.accept(settings, wish, terminal.say, ask, dry_run=dry_run)
    if json:
        print_json(report.document(done.acceptance))
    else:
        print_lines(report.brief(done.acceptance))
    if done.folder:
        terminal.say(f"all evidence, with times and means: {done.folder}")
    return ExitCode.OK if done.acceptance.accepted else ExitCode.HOSTS_FAILED


def _probes(text: str | None) -> tuple["Place", ...]:
    from chapelle.run.tenancy.lines import Place

    found = []
    for each in filter(None, (text or "").split(",")):
        match = _PROBE.fullmatch(each)
        if match is None:
            raise _wrong("--probe", "AISLE:HOST or AISLE:HOST/ADDRESS, such as 2:probe2", each)
        found.append(
            Place(aisle=match["aisle"], host=match["host"], address=match["address"] or "")
        )
    return tuple(found)


def _readings(text: str | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in filter(None, (text or "").split(",")):
        name, _, value = each.partition("=")
        reading = _number("--meter", value or "nothing")
        if reading is not None:
            found[name] = reading
    return found


def _number(argument: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise _wrong(argument, "a number from 0 up", text)
    return number


def _wrong(argument: str, expected: str, found: str) -> InputError:
    return InputError(
        f"{argument} means nothing.",
        where="the command line",
        expected=expected,
        found=repr(found),
    )
