"""Each role's Molecule scenario: check mode, converge, idempotence, verify on a lab node."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/molecule/default"))

pytestmark = [pytest.mark.lab]


def test_every_role_has_a_scenario() -> None:
    assert sorted(path.name for path in (ROOT / "roles").iterdir()) == ROLES


@pytest.mark.parametrize("role", ROLES)
def test_the_scenario_of_a_role_passes(role: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CHAPELLE_")}
    if cache := os.environ.get("CHAPELLE_CACHE"):
        kept["CHAPELLE_CACHE"] = cache
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "molecule", "test"],
        cwd=ROOT / "roles" / role,
        env={**kept, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
