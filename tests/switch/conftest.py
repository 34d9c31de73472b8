"""Switches under test: one of each platform that has a driver."""

import os
from collections.abc import Iterator

import frr_node
import pytest
from frr_rig import FrrRig
from switch_rig import Rig


@pytest.fixture(scope="session")
def frr() -> Iterator[FrrRig]:
    if os.geteuid() != 0:
        pytest.skip("a real FRR switch needs root")
    with frr_node.started() as node:
        yield FrrRig(node)


@pytest.fixture(params=["frr"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """A switch in its first configuration, with nothing armed."""
    one: FrrRig = request.getfixturevalue("frr")
    one.reset()
    return one
