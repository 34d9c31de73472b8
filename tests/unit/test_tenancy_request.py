"""A tenant's request: what is wrong with it is said with path, line, expected and found."""

import datetime
from pathlib import Path

import pytest

from chapelle.errors import ExitCode
from chapelle.model.tenancy import Request
from chapelle.plan.tenancy import request as requests
from chapelle.plan.tenancy.request import RequestError
from chapelle.settings import ROOT

EXAMPLES = sorted((ROOT / "inventory" / "tenants").glob("*.yml"))
AP_HP = (ROOT / "inventory" / "tenants" / "ap-hp.yml").read_text()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "request.yml"
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, *changes: tuple[str, str]) -> Request:
    text = AP_HP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return requests.read(written(tmp_path, text))


def refused(tmp_path: Path, *changes: tuple[str, str]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(tmp_path, *changes)
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    assert "nothing was changed" in str(caught.value)
    return caught.value


def paths(error: RequestError) -> list[str]:
    return [problem.path for problem in error.problems]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_three_examples_are_requests(path: Path) -> None:
    request = requests.read(path)
    assert request.tenant.slug == path.stem
    assert {contact.role for contact in request.tenant.contacts} == {"operations", "security"}


def test_there_are_three_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["ap-hp", "eau-de-paris", "paris-habitat"]


def test_a_date_may_be_quoted_or_not(tmp_path: Path) -> None:
    request = read(tmp_path, ("2027-06-30", '"2027-05-31"'))
    assert request.held_until == datetime.date(2027, 5, 31)
    assert request.starts == datetime.date(2027, 7, 1)


@pytest.mark.parametrize(
    "name",
    [
        "L'Hôtel-Dieu",
        "Régie d'eau №3, Œuvre",
        "$(reboot) `id` ; rm -rf / && echo",
        "{{ lookup('pipe', 'id') }} {% raw %} <script>alert(1)</script>",
        "../../etc/passwd",
    ],
)
def test_a_name_is_taken_literally(tmp_path: Path, name: str) -> None:
    quoted = "'" + name.replace("'", "''") + "'"
    assert read(tmp_path, ("name: AP-HP\n", f"name: {quoted}\n")).tenant.name == name


def test_a_name_of_200_characters_is_refused_with_the_limit(tmp_path: Path) -> None:
    error = refused(tmp_path, ("name: AP-HP\n", f"name: '{'é' * 200}'\n"))
    (problem,) = error.problems
    assert problem.path == "tenant.name"
    assert problem.line == 4
    assert "100 characters" in problem.expected
    assert "200 characters" in problem.found


@pytest.mark.parametrize("name", ['"two\\nlines"', '"bell\\a"', '"ends\\n"', '""'])
def test_a_name_is_one_line(tmp_path: Path, name: str) -> None:
    assert paths(refused(tmp_path, ("name: AP-HP\n", f"name: {name}\n"))) == ["tenant.name"]


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        ("racks: 24", "racks: many"),
        ("kw_per_rack: 4", "kw_per_rack: .nan\n  colour: blue"),
        ("slug: ap-hp", "slug: AP HP"),
        ("2033-06-30", "2033-13-01"),
    )
    assert set(paths(error)) == {
        "tenant.slug", "space.racks", "space.kw_per_rack", "space.colour", "ends",
    }  # fmt: skip
    assert "a day such as 2027-03-31" in str(error)


def test_a_key_that_stands_twice_is_a_mistake(tmp_path: Path) -> None:
    error = refused(tmp_path, ("  racks: 24\n", "  racks: 24\n  racks: 2\n"))
    assert paths(error) == ["space.racks"]
    assert "it stands in line" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file"),
        ("- a\n- b\n", "a list"),
        ("just words\n", "'just words'"),
        ("a: [1\n", "YAML"),
        ("reference: !!python/object/apply:os.system [id]\n", "a list"),
        ("reference: !!binary aGk=\n", "a YAML binary"),
    ],
)
def test_what_is_no_mapping_is_no_request(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        requests.read(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        requests.read(tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("10.80.4.1/24", "host bits"),
        ("10.80.4.0/33", "does not appear"),
        ("ten", "does not appear"),
        ("10.80.4.0/31", "length"),
        ("224.1.0.0/16", "no machine"),
        ("127.0.0.0/8", "no machine"),
    ],
)
def test_a_prefix_is_a_network(tmp_path: Path, prefix: str, said: str) -> None:
    error = refused(tmp_path, ("prefix_length: 23", f"prefix: {prefix}"))
    assert paths(error) == ["networks[0].prefix"]
    assert said in error.problems[0].found


def test_own_prefixes_do_not_overlap(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        ("prefix_length: 23", "prefix: 10.80.0.0/16"),
        ("prefix_length: 24", "prefix: 10.80.4.0/24"),
    )
    assert paths(error) == ["networks[2].prefix"]
    assert "10.80.4.0/24 and 10.80.0.0/16" in str(error)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("  racks: 24", "  racks: 24\n  units: 3", "space"),
        ("  racks: 24\n", "", "space"),
        ("  contiguous: true", "  apart_from: [ap-hp]", "space.apart_from"),
        ("ends: 2033-06-30", "ends: 2027-06-30", "ends"),
        ("name: imaging", "name: hospitals", "networks"),
        ("kind: lacp, ports: 2", "kind: bgp", "networks[2].routed"),
        ("ports: 2", "bgp: {asn: 65000}", "handoff.bgp"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, path: str) -> None:
    assert paths(refused(tmp_path, (old, new))) == [path]


def test_a_port_takes_one_cross_connect_and_an_edge_two(tmp_path: Path) -> None:
    one = "{aisle: 1, panel: mmr-1, port: '%s'}"
    cables = "\n".join(f"  - {one % port}" for port in (1, 1, 2))
    error = refused(tmp_path, ("handoff:", f"cross_connects:\n{cables}\nhandoff:"))
    assert [problem.found for problem in error.problems] == [
        "port 1 of mmr-1 2 times", "3 in aisle 1",
    ]  # fmt: skip
