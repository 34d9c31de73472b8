"""How long 300 BMCs take to be inventoried and set, many at one time and one at a time.

    .venv/bin/python bench/bmc.py [--servers 300] [--alone 20] [--answer 0.1]

The BMCs are the lab's: one process, all on this machine's loopback, with TLS and logins. Each waits
--answer seconds before it answers, as a real one does; the lab's own answer takes about 10 ms of
processor time, so that without waiting this would measure the lab. Inventory reads all that the
identity gate judges, settings are set with a restart (power changes 0.2 s after it was told to) and
read back. One at a time is measured on --alone servers, and given for all by the rule of three. The
exit status is 1 when many at one time are less than five times as fast.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]
import bmc_rig  # noqa: E402 - found by the path above
import reference  # noqa: E402

from chapelle.model.hardware import Limits  # noqa: E402
from chapelle.run import bmc as running  # noqa: E402
from chapelle.run import bmc_change as changing  # noqa: E402
from chapelle.run.bmc import Outcome, Stand  # noqa: E402

GOAL = 5.0
LIMITS = Limits(answer=60, power=120, shutdown=120, settings=300)


def stand(rig: bmc_rig.Rig, names: list[str]) -> Stand:
    """These servers, as commands about BMCs stand on them."""
    return Stand(
        dc=rig.dc,
        devices={name: rig.dc.device(name) for name in names},
        targets={name: rig.target(name, patience=120, limits=LIMITS) for name in names},
        unfit=(),
        snapshot=rig.dc.snapshot.hash,
        netbox_url="",
    )


def timed(work: Callable[..., Outcome[Any]], where: Stand, at_once: int) -> float:
    """Seconds that the work takes on these servers, so many at one time."""
    running.AT_ONCE = at_once
    began = time.monotonic()
    outcome = work(where, lambda _done, _total: None)
    took = time.monotonic() - began
    assert not outcome.failed, outcome.failed[0]
    return took


def main() -> int:
    """Measure, print, and say by the exit status whether the goal is met."""
    parser = argparse.ArgumentParser(description="BMCs, many at one time and one at a time")
    parser.add_argument("--servers", type=int, default=300)
    parser.add_argument("--alone", type=int, default=20)
    parser.add_argument("--answer", type=float, default=0.1, help="seconds before each answer")
    given = parser.parse_args()
    names = [device.name or "" for device in reference.datacentre().servers]
    names = names[: given.servers + given.alone]
    many, alone = names[: given.servers], names[-given.alone :]
    if len(names) < given.servers + given.alone:  # so many servers there are not: these twice
        many = names
    at_once = running.AT_ONCE
    total = [0.0, 0.0]
    with tempfile.TemporaryDirectory() as folder:
        for number, chosen in enumerate((many, alone)):
            with bmc_rig.running(Path(folder, str(number)), chosen) as rig:
                rig.faults(**{name: {"slow": given.answer} for name in chosen})
                for what, work in (("inventory", running.inventory), ("settings", changing.settle)):
                    took = timed(work, stand(rig, chosen), at_once if number == 0 else 1)
                    total[number] += took / len(chosen)
                    how = f"{at_once} at one time" if number == 0 else "one at a time"
                    print(f"{what:<10} {len(chosen):>4} BMCs, {how:<15} {took:7.1f} s")
    ratio = total[1] / total[0]
    print(
        f"both: {total[0] * len(many):.0f} s for {len(many)} BMCs; one at a time that would be "
        f"{total[1] * len(many):.0f} s: {ratio:.1f} times"
    )
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
