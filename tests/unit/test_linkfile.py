"""Files of links as sections of a configuration, and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapelle.fabric import ownership
from chapelle.fabric.links import links, text
from chapelle.fabric.render import render
from chapelle.model import linkfile
from tests.golden.fabric.switches import switches

SWITCHES = {name: switch for (slug, name), switch in switches().items() if slug == "frr"}
FOREIGN = linkfile.section("/etc/systemd/network/20-chapelle-x.network", "[Match]\nName=a b\\c\n")
VALUES = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), min_size=1)


@pytest.mark.parametrize("name", SWITCHES)
def test_all_files_of_a_switch_come_back(name: str) -> None:
    files = {file["path"]: file["content"] for file in links(SWITCHES[name])}
    back, rest = linkfile.split(text(SWITCHES[name]))
    assert back == files
    assert not re.sub(r"^!\n", "", rest, flags=re.MULTILINE)


@given(st.lists(VALUES.map(str.strip).filter(lambda v: v and v[0] not in "#;[" and "=" not in v)))
def test_whatever_somebody_wrote_comes_back(values: list[str]) -> None:
    content = linkfile.HEADER + "\n[Network]\n" + "".join(f"DNS={value}\n" for value in values)
    path = f"{linkfile.PREFIX}x.network"
    assert linkfile.split(linkfile.section(path, content)) == ({path: content}, "!\n" * 2 + "!\n")


def test_they_are_ours_and_stand_first_and_lines_keep_their_numbers() -> None:
    switch = SWITCHES["leaf-a1-1a"]
    wanted = text(switch) + render(switch)
    running = "frr version 8.4.4\nfrr defaults traditional\nhostname x\n!\nend\n"
    candidate = ownership.merge("frr", running, wanted)
    files, rest = linkfile.split(candidate)
    assert files.keys() == {file["path"] for file in links(switch)}
    assert candidate.startswith("file ")
    place = candidate.splitlines().index("hostname x")
    assert rest.splitlines()[place] == "hostname x"
    assert not ownership.diff("frr", candidate, ownership.merge("frr", candidate, wanted))
    assert ownership.diff("frr", FOREIGN + candidate, candidate).splitlines() == [
        "-file /etc/systemd/network/20-chapelle-x.network",
        r"- [Match] Name=a\x20b\x5cc",
    ]


def test_a_part_that_differs_is_one_line_of_the_difference() -> None:
    switch = SWITCHES["leaf-a1-1a"]
    before = text(switch)
    after = before.replace("MTUBytes=9216", "MTUBytes=1500", 1)
    lines = ownership.diff("frr", before, after).splitlines()
    assert [line[0] for line in lines] == [" ", "-", "+"]
    assert "MTUBytes=1500" in lines[2]
