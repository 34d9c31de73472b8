"""The golden configurations are what the templates give, and take every branch of them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chapelle.errors import ChapelleError, InputError
from chapelle.fabric import ownership, render
from chapelle.fabric.platforms import PLATFORMS
from chapelle.settings import ROOT

sys.path.insert(0, str(ROOT))
from tests.golden.fabric import coverage
from tests.golden.fabric.switches import present, rendered, switches

FILES, UNTAKEN = rendered()
CONFIGURATIONS = {key: render.render(switch) for key, switch in switches().items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_golden_file_is_what_is_rendered_now(path: Path) -> None:
    again = "make them again with: .venv/bin/python -m tests.golden.fabric"
    assert path.exists(), again
    assert path.read_text() == FILES[path], again


def test_no_golden_file_is_left_over_and_every_branch_is_taken() -> None:
    assert present() == set(FILES)
    assert set() == UNTAKEN
    assert coverage.unused_templates() == []


def test_every_platform_has_every_role() -> None:
    roles = {(slug, switch.role) for (slug, _), switch in switches().items()}
    wanted = {"leaf", "tenant-leaf", "spine", "border", "oob"}
    assert roles == {(slug, role) for slug in PLATFORMS for role in wanted}


def test_a_branch_that_nobody_takes_is_noticed(tmp_path: Path) -> None:
    """The guard itself."""
    shutil.copytree(render.TEMPLATES, tmp_path / "t")
    template = tmp_path / "t" / "frr" / "switch.j2"
    template.write_text(
        template.read_text() + '{% if switch.name == "x" %}\nhostname x\n{% else %}\n{% endif %}\n'
    )
    noted = render.environment(tmp_path / "t", coverage.Branches)
    assert isinstance(noted, coverage.Branches)
    for (slug, _), switch in switches().items():
        if slug == "frr":
            noted.get_template("frr/switch.j2").render(render.context(switch))
    (branch,) = noted.known - noted.taken
    assert branch.startswith("frr/switch.j2:")
    assert branch.endswith("(true)")


def test_the_command_makes_them_and_changes_nothing_when_they_are_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.fabric"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrote" not in done.stdout


@pytest.mark.parametrize("key", CONFIGURATIONS, ids="/".join)
def test_all_that_is_rendered_is_ours_in_the_order_of_the_device(key: tuple[str, str]) -> None:
    slug, text = key[0], CONFIGURATIONS[key]
    assert text.endswith("\n")
    assert not any(line.rstrip() != line for line in text.splitlines())
    alone = ownership.merge(slug, "", text)
    assert ownership.owned(slug, alone) == alone
    assert ownership.diff(slug, text, alone) == ""

    def headers(shown: str) -> list[str]:
        return [line for line in shown.splitlines() if line and line[0] not in " !"]

    assert headers(alone) == headers(text)


@pytest.mark.parametrize("slug", PLATFORMS)
def test_two_switches_of_a_pair_differ_where_they_must(slug: str) -> None:
    a, b = (CONFIGURATIONS[slug, f"leaf-a1-1{side}"] for side in "ab")
    segment = {
        "frr": "evpn mh es-sys-mac 02:02:0a:43:00:01",
        "arista_eos": "identifier 0002:020a:4300:0100:0025",
        "cisco_nxos": "esi system-mac 0202.0a43.0001 37",
    }[slug]
    assert segment in a
    assert segment in b
    for text, own, others in ((a, "10.67.0.1", "10.67.0.2"), (b, "10.67.0.2", "10.67.0.1")):
        assert own in text
        assert f"{others}/32" not in text


@pytest.mark.parametrize("slug", PLATFORMS)
def test_a_tenant_s_vrf_is_only_where_it_rents(slug: str) -> None:
    assert "50102" in CONFIGURATIONS[slug, "leaf-a1-ta"]
    for name in ("leaf-a1-1a", "leaf-a2-ta", "spine-a1"):
        assert "50102" not in CONFIGURATIONS[slug, name]


def templates(tmp_path: Path, old: str, new: str) -> Path:
    shutil.copytree(render.TEMPLATES, tmp_path / "templates")
    path = tmp_path / "templates" / "frr" / "bgp.j2"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return tmp_path / "templates"


@pytest.mark.parametrize(
    ("new", "where", "found"),
    [
        ("{% for port in switch.fabric", "templates/frr/bgp.j2, line ", "end of print statement"),
        ("{{ switch.nothing }}", "templates/frr/bgp.j2, line 2", "nothing"),
        ("{{ unheard_of }}", "templates/frr/bgp.j2, line 2", "unheard_of"),
        ('{% include "frr/gone.j2" %}', "templates/frr/", "gone.j2"),
    ],
)
def test_a_broken_template_is_named_with_its_line(
    tmp_path: Path, new: str, where: str, found: str
) -> None:
    folder = templates(tmp_path, "bgp router-id {{ switch.router.loopback }}", new)
    with pytest.raises(ChapelleError) as caught:
        render.render(switches()["frr", "spine-a1"], folder)
    error = caught.value
    assert not isinstance(error, InputError)
    assert where in (error.where or ""), error
    assert (
        found in (error.found or "")
        or "syntax" in error.message
        or "expected" in (error.found or "")
    )


def test_an_unknown_platform_cannot_be_rendered() -> None:
    switch = switches()["frr", "spine-a1"]
    with pytest.raises(InputError) as caught:
        render.render(render.msgspec.structs.replace(switch, platform="junos"))
    assert caught.value.found == "junos"


def test_numbers_in_ranges() -> None:
    assert render.ranges([5, 1, 2, 3, 9]) == "1-3,5,9"
    ports = switches()["arista_eos", "leaf-a1-1a"].fabric
    assert render.runs(ports) == [("Et49-52", 4200000000)]
    spine = render.runs(switches()["arista_eos", "spine-a1"].fabric)
    assert spine[0] == ("Et1", 4200000101)
    assert len(spine) == 34
