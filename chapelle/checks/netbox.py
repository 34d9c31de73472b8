"""Judges what NetBox says before anybody acts on it: findings, each with its objects.

An error makes its objects unfit for a run. A warning does not: the machine would work, but less
safely than the datacentre promises.
"""

from chapelle.checks.rules import addressing, cabling, disks, fabric, handoff, identity, placement
from chapelle.checks.rules.scene import Rule, Scene
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding

# Every rule by its id: severity, and the function that finds its faults.
RULES: dict[str, tuple[str, Rule]] = {
    **identity.RULES,
    **placement.RULES,
    **disks.RULES,
    **cabling.RULES,
    **addressing.RULES,
    **fabric.RULES,
    **handoff.RULES,
}


def check(dc: Datacentre) -> list[Finding]:
    """Everything that is wrong with NetBox's content, errors first, then by rule and object."""
    scene = Scene(dc)
    findings = [
        fault.finding(rule, severity)
        for rule, (severity, judge) in RULES.items()
        for fault in judge(scene)
    ]
    return sorted(findings, key=lambda f: (f.severity, f.rule, f.objects))
