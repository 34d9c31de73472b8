"""The golden switches for tests in the lab."""

import sys

from chapelle.fabric.switch import Switch
from chapelle.settings import ROOT

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
from tests.golden.fabric.switches import covering, switches


def covering_switches(platform: str) -> dict[str, Switch]:
    """Those among them that together have every line of the platform's templates, by name."""
    return covering(platform)


def golden_switches(platform: str) -> dict[str, Switch]:
    """What each golden switch of a platform shall do, by its name."""
    return {name: switch for (slug, name), switch in switches().items() if slug == platform}
