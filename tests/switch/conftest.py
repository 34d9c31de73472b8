"""Switches under test: one of each platform that has a driver."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import frr_node
import pytest
from fake_rig import EosRig, NxosRig
from frr_rig import FrrRig
from switch_rig import Rig


@pytest.fixture(scope="session")
def frr_switch() -> Iterator[FrrRig]:
    if os.geteuid() != 0:
        pytest.skip("a real FRR switch needs root")
    with frr_node.started() as node:
        yield FrrRig(node)


@pytest.fixture
def frr(frr_switch: FrrRig) -> FrrRig:
    """The real FRR switch in its first configuration, with nothing armed."""
    frr_switch.reset()
    return frr_switch


@pytest.fixture
def arista_eos(tmp_path: Path) -> Iterator[EosRig]:
    """A stand-in for EOS."""
    with contextlib.ExitStack() as stack:
        yield EosRig(tmp_path, stack)


@pytest.fixture
def cisco_nxos(tmp_path: Path) -> Iterator[NxosRig]:
    """A stand-in for NX-OS."""
    with contextlib.ExitStack() as stack:
        yield NxosRig(tmp_path, stack)


@pytest.fixture(params=[pytest.param("frr", marks=pytest.mark.lab), "arista_eos", "cisco_nxos"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """A switch in its first configuration, with nothing armed."""
    found: Rig = request.getfixturevalue(request.param)
    return found
