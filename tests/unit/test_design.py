"""The design files: what is wrong with one is said with file, path, expected and found."""

import shutil
from pathlib import Path

import pytest
import yaml

from chapelle.errors import ExitCode
from chapelle.netbox import design
from chapelle.netbox.design import DesignError, Problem
from chapelle.netbox.design.patterns import PatternError, names, numbers, render, uses
from chapelle.settings import ROOT

REFERENCE = design.folder(ROOT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the reference design, to be spoilt."""
    shutil.copytree(REFERENCE, tmp_path / "design")
    return tmp_path / "design"


def spoil(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def problems(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(DesignError) as caught:
        design.load(folder)
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    return caught.value.problems


def test_the_reference_design_is_valid() -> None:
    loaded = design.load(REFERENCE)
    assert [spec.role for spec in loaded.servers.roles] == [
        "compute",
        "storage",
        "database",
        "infra",
    ]


def test_a_misspelt_key_names_file_path_line_and_what_is_known(folder: Path) -> None:
    spoil(folder, "racks.yml", "    u_height: 42", "    u_hieght: 42")
    strange, missing = problems(folder)
    assert (strange.path, strange.found) == ("racks[0].u_hieght", "the key 'u_hieght'")
    assert "u_height" in strange.expected
    assert (missing.file, missing.path) == ("racks.yml", "racks[0].u_height")
    assert missing.found == "nothing"
    line = (folder / "racks.yml").read_text().splitlines()[strange.line - 1]
    assert "u_hieght" in line


def test_a_value_of_the_wrong_type_says_both(folder: Path) -> None:
    spoil(folder, "racks.yml", "u_height: 42", "u_height: tall")
    (problem,) = problems(folder)
    assert problem == Problem(
        "racks.yml",
        "racks[0].u_height",
        "a whole number of at least 1 and at most 100",
        "'tall'",
        problem.line,
    )
    text = str(DesignError([problem]))
    assert "racks.yml: racks[0].u_height (line" in text
    assert "expected: a whole number" in text
    assert "found:    'tall'" in text


def test_all_mistakes_of_all_files_are_reported_at_once(folder: Path) -> None:
    spoil(folder, "power.yml", "voltage: 230", "voltage: lots")
    spoil(folder, "power.yml", "supply: ac", "supply: steam")
    spoil(folder, "tenancy.yml", "slug: ap-hp", "slug: AP HP")
    found = {(problem.file, problem.path) for problem in problems(folder)}
    assert found == {
        ("power.yml", "feeds.voltage"),
        ("power.yml", "feeds.supply"),
        ("tenancy.yml", "tenants[1].slug"),
    }


def test_a_duplicate_key_is_a_mistake_with_both_lines(folder: Path) -> None:
    spoil(folder, "power.yml", "  voltage: 230\n", "  voltage: 230\n  voltage: 400\n")
    (problem,) = problems(folder)
    assert (problem.path, problem.expected) == ("feeds.voltage", "each key once")
    lines = (folder / "power.yml").read_text().splitlines()
    assert "400" in lines[problem.line - 1]
    assert problem.found == f"it stands in line {problem.line - 1} already"


def test_a_yaml_syntax_error_gives_line_and_column(folder: Path) -> None:
    (folder / "power.yml").write_text("panels:\n  - side: [a\n")
    (problem,) = problems(folder)
    assert problem.where.startswith("power.yml: line 3, column 1")
    assert "expected" in problem.found


@pytest.mark.parametrize("content", ["", "# only a comment\n", "- a list\n", "just words\n"])
def test_a_file_that_is_no_mapping(folder: Path, content: str) -> None:
    (folder / "power.yml").write_text(content)
    (problem,) = problems(folder)
    assert problem.file == "power.yml"
    assert problem.expected.startswith("a mapping")


def test_a_missing_and_a_stray_file(folder: Path) -> None:
    (folder / "power.yml").rename(folder / "energy.yml")
    found = {(problem.file, problem.found) for problem in problems(folder)}
    assert found == {("power.yml", "No such file or directory"), ("energy.yml", "energy.yml")}


def test_an_alias_that_contains_itself_is_refused(folder: Path) -> None:
    (folder / "power.yml").write_text("panels: &p [*p]\n")
    assert any("contains itself" in problem.found for problem in problems(folder))


def test_an_unquoted_date_is_no_text(folder: Path) -> None:
    spoil(folder, "site.yml", "physical_address: Porte", "physical_address: 2026-01-01 #")
    (problem,) = problems(folder)
    assert (problem.path, problem.found) == ("site.physical_address", "a YAML timestamp")


def test_patterns_are_used_instead_of_copies() -> None:
    size = sum(len(path.read_text().splitlines()) for path in REFERENCE.glob("*.yml"))
    assert size < 700  # for 300 servers, 50 switches and 192 PDUs
    assert len(yaml.safe_load((REFERENCE / "servers.yml").read_text())["racks"]) == 6


def test_numbers() -> None:
    assert numbers("1-3,7") == [1, 2, 3, 7]
    assert numbers(4) == [4]


@pytest.mark.parametrize("text", ["6-1", "1-2,2", "x", "", "1-999999"])
def test_bad_numbers(text: str) -> None:
    with pytest.raises(PatternError, match=r"expected .* found"):
        numbers(text)


def test_names() -> None:
    assert names("eno[1-2]") == ["eno1", "eno2"]
    assert names("outlet-[09-11]") == ["outlet-09", "outlet-10", "outlet-11"]
    assert names("bmc") == ["bmc"]


def test_render() -> None:
    assert render("A{aisle}-R{rack:02d}", aisle=2, rack=7) == "A2-R07"
    assert uses("10.64.{aisle}.0/24", "aisle")
    assert not uses("10.64.0.0/24", "aisle")


@pytest.mark.parametrize("pattern", ["{isle}", "{aisle", "{aisle.real}", "{}", "{aisle:zz}"])
def test_bad_patterns_name_what_is_offered(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"\{aisle\}"):
        render(pattern, aisle=2)
