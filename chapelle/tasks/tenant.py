"""Tasks of tenants: what can be offered to them."""

from chapelle.errors import ExitCode, InputError
from chapelle.tasks._command import command
from chapelle.tasks.capacity import day_of
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take


@command(
    help={
        "request": "The request, such as inventory/tenants/ap-hp.yml.",
        "snapshot": "Look at this snapshot file; by default a new one is taken.",
        "day": "As of this day, such as 2027-03-31 (default: today).",
        "options": "How many options at most (default: 5).",
        "json": "Print the answer as one JSON document.",
    }
)
def feasibility(
    _context: object,
    request: str,
    snapshot: str | None = None,
    day: str | None = None,
    options: int = 5,
    json: bool = False,
) -> ExitCode:
    """Say what can be offered for a tenant's request: exit code 0 with an option, 99 with none.

    Space, weight, ports, and power with any one element out, beside everything that is let. The
    best option comes first; every rack that is not offered has its reason. Nothing is written.
    """
    from pathlib import Path

    from chapelle.checks.tenancy import feasibility as judge
    from chapelle.model.datacentre import Datacentre
    from chapelle.plan.tenancy import request as requests
    from chapelle.report import feasibility as report

    if options < 1:
        raise InputError(
            "That is no number of options.",
            where="the command line: --options",
            expected="a whole number of at least 1",
            found=str(options),
        )
    on = day_of(day)
    asked = requests.read(Path(request).expanduser())
    judged, _ = read_or_take(snapshot)
    answer = judge.answer(Datacentre(judged), asked, on, options)
    if json:
        print_json(report.answer_document(asked, answer, judged.hash))
    else:
        print_lines(report.answer_lines(asked, answer))
    return ExitCode.OK if answer.options else ExitCode.FINDINGS
