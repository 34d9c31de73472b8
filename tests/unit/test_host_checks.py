"""What a host is against what is expected of it."""

import copy
import json
import subprocess
from pathlib import Path

import pytest

from chapelle.checks.host import differences, not_exercised
from plugins.module_utils.chapelle_node import certificate, observe
from plugins.module_utils.chapelle_node.system import Ran, System

NOW = 1_800_000_000

EXPECT = {
    "base": {
        "hostname": "compute-a2-01",
        "serial": "SN1",
        "timezone": "Europe/Paris",
        "resolvers": ["10.64.0.21", "10.64.0.22"],
        "units": ["systemd-journald.service"],
    },
    "access": {
        "certificate": "/etc/ssh/host-cert.pub",
        "principals": ["compute-a2-01"],
        "sshd": {"permitrootlogin": "no"},
        "listen": ["tcp/22"],
    },
    "time": {"servers": ["10.64.0.12", "10.64.0.11"], "offset": 0.5, "not_exercised": ["clock"]},
    "network": {
        "links": [
            {
                "name": "bond0",
                "kind": "bond",
                "mac": None,
                "mtu": 9000,
                "addresses": ["10.64.2.11/24"],
                "gateway": "10.64.2.1",
                "bond": None,
                "parent": None,
                "vid": None,
            },
            {
                "name": "bond0.202",
                "kind": "vlan",
                "mac": "02:00:00:00:00:01",
                "mtu": None,
                "addresses": [],
                "gateway": None,
                "bond": None,
                "parent": "bond0",
                "vid": 202,
            },
        ],
        "not_exercised": [],
    },
    "firewall": {"table": "inet chapelle", "path": "/etc/nftables.conf"},
}

OBSERVED = {
    "facts": {"serial": "SN1"},
    "hostname": "compute-a2-01",
    "timezone": "Europe/Paris",
    "resolvers": ["10.64.0.21", "10.64.0.22"],
    "units": {"systemd-journald.service": {"active": "active", "refused_by": []}},
    "certificate": {
        "kind": "host",
        "principals": ["10.64.2.11", "compute-a2-01"],
        "after": NOW - 10,
        "before": NOW + 10,
    },
    "sshd": {"permitrootlogin": "no"},
    "listening": ["tcp/22", "tcp/9100"],
    "time": {
        "synchronised": True,
        "says": "Normal",
        "offset": -0.01,
        "sources": {"10.64.0.11": "*", "10.64.0.12": "+"},
    },
    "links": {
        "bond0": {
            "mac": "02:00:00:00:00:01",
            "mtu": 9000,
            "up": True,
            "bond": None,
            "addresses": ["10.64.2.11/24"],
        },
        "bond0.202": {
            "mac": "02:00:00:00:00:01",
            "mtu": 9000,
            "up": True,
            "bond": None,
            "vid": 202,
            "parent": "bond0",
            "addresses": [],
        },
    },
    "gateways": ["10.64.2.1"],
    "firewall": {"loaded": True, "matches": True, "says": ""},
}


def test_a_host_that_is_as_expected() -> None:
    assert differences(EXPECT, OBSERVED, NOW) == []
    assert not_exercised(EXPECT, OBSERVED) == ("clock",)


FAULTS = [
    (("hostname",), "other", "identity", "hostname", "other"),
    (("facts", "serial"), "SN2", "identity", "serial number", "SN2"),
    (("timezone",), "Etc/UTC", "time", "time zone", "Etc/UTC"),
    (("resolvers",), ["10.64.0.22"], "resolver", "name servers", "10.64.0.22"),
    (
        ("units", "systemd-journald.service", "active"),
        "failed",
        "units",
        "systemd-journald.service",
        "failed",
    ),
    (
        ("certificate",),
        {"error": "there is none"},
        "certificate",
        "/etc/ssh/host-cert.pub",
        "there is none",
    ),
    (("certificate", "principals"), ["x"], "certificate", "principals", "x"),
    (("certificate", "kind"), "user", "certificate", "kind", "user"),
    (
        ("certificate", "before"),
        NOW,
        "certificate",
        "validity",
        "from 2027-01-15 07:59 UTC to 2027-01-15 08:00 UTC",
    ),
    (("sshd", "permitrootlogin"), "yes", "access", "sshd permitrootlogin", "yes"),
    (("listening",), [], "ports", "tcp/22", "nothing"),
    (("time", "synchronised"), False, "time", "synchronisation", "Normal"),
    (("time", "sources"), {"10.64.0.11": "*"}, "time", "servers asked", "10.64.0.11"),
    (("time", "offset"), -0.6, "time", "offset", "-0.600 s"),
    (("links", "bond0", "addresses"), [], "addresses", "bond0", "nothing"),
    (("links", "bond0", "mtu"), 1500, "links", "bond0 MTU", "1500"),
    (("links", "bond0", "up"), False, "links", "bond0 is up", "no"),
    (("links", "bond0.202", "vid"), 203, "links", "bond0.202 VLAN", "203"),
    (("links", "bond0.202", "parent"), "eno1", "links", "bond0.202 parent", "eno1"),
    (("links", "bond0.202", "mac"), "ff", "identity", "bond0.202 MAC address", "ff"),
    (("gateways",), [], "routes", "default gateway", "nothing"),
    (
        ("firewall",),
        {"loaded": False, "matches": False},
        "firewall",
        "table inet chapelle",
        "not loaded",
    ),
    (
        ("firewall",),
        {"loaded": True, "matches": False, "says": "tcp dport 4444 accept"},
        "firewall",
        "table inet chapelle",
        "tcp dport 4444 accept",
    ),
]


@pytest.mark.parametrize(("path", "value", "area", "item", "found"), FAULTS)
def test_each_fault_is_one_difference(
    path: tuple[str, ...], value: object, area: str, item: str, found: str
) -> None:
    observed = copy.deepcopy(OBSERVED)
    inner: dict = observed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    got = differences(EXPECT, observed, NOW)
    assert [(d.area, d.item, d.found) for d in got] == [(area, item, found)]
    assert got[0].expected not in ("", found)


def test_a_missing_link_is_one_difference_and_not_one_for_each_property() -> None:
    observed = copy.deepcopy(OBSERVED)
    del observed["links"]["bond0.202"]
    assert [(d.item, d.expected) for d in differences(EXPECT, observed, NOW)] == [
        ("bond0.202", "vlan")
    ]


SMART = "smartmontools.service"
SMART_EXPECT = {"disks": {"units": [SMART], "conditions": {SMART: ["ConditionVirtualization=no"]}}}


def refused(*conditions: str) -> dict:
    return {"units": {SMART: {"active": "inactive", "refused_by": list(conditions)}}}


def unit_findings(observed: dict) -> tuple[list[str], tuple[str, ...]]:
    observed = {**OBSERVED, **observed}
    found = differences(SMART_EXPECT, observed, NOW)
    return [d.found for d in found if d.area == "units"], not_exercised(SMART_EXPECT, observed)


def test_a_unit_that_a_declared_condition_refuses_is_not_exercised() -> None:
    assert unit_findings(refused("ConditionVirtualization=no")) == (
        [],
        (f"{SMART}: ConditionVirtualization=no does not hold on this host",),
    )


@pytest.mark.parametrize(
    "conditions",
    [
        ("ConditionPathExists=/no/such",),
        ("ConditionVirtualization=no", "ConditionPathExists=/no/such"),
        ("ConditionVirtualization=!container",),
    ],
)
def test_any_other_condition_is_a_difference_that_names_it(conditions: tuple[str, ...]) -> None:
    found = f"inactive, {', '.join(conditions)} does not hold"
    assert unit_findings(refused(*conditions)) == ([found], ())


def test_a_certificate_that_ends_soon_is_a_difference_where_one_looks_ahead() -> None:
    expect = {"access": {**EXPECT["access"], "certificate_days": 30}}
    observed = copy.deepcopy(OBSERVED)
    for before, soon in ((NOW + 29 * 86400, True), (NOW + 31 * 86400, False), (2**64 - 1, False)):
        observed["certificate"]["before"] = before
        found = differences(expect, observed, NOW)
        assert [(d.item, d.expected) for d in found] == (
            [("validity", "valid for 30 days more")] if soon else []
        )
        assert not soon or "sign /etc/ssh/host.pub of this host again" in found[0].found
        assert differences(expect, observed, NOW, ahead=False) == []
    observed["certificate"]["before"] = NOW
    assert [d.expected for d in differences(expect, observed, NOW, ahead=False)] == ["valid now"]


def test_what_is_not_expected_is_not_compared() -> None:
    assert differences({}, OBSERVED, NOW) == []


# -- what the host says of itself -----------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> System:
    for name, text in {
        "proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eno1\t00000000\t0102400A\t0003\t0\t0\t0\t00000000\n"
        "eno1\t0002400A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
        "proc/net/tcp": "head\n0: 0100007F:0CEA 00000000:0000 0A\n1: 0B02400A:238C 0:0 0A\n"
        "2: 0B02400A:9999 0:0 01\n",
        "proc/net/tcp6": "head\n0: 00000000000000000000000000000000:0016 0:0 0A\n"
        "1: 00000000000000000000000001000000:0017 0:0 0A\n",
        "proc/net/udp": "head\n0: 00000000:007B 0:0 07\n",
        "etc/resolv.conf": "# x\nsearch a\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Paris")
    return System(str(tmp_path))


def test_routes_ports_resolvers_and_zone_are_read_from_files(tree: System) -> None:
    assert observe.gateways(tree) == ["10.64.2.1"]
    assert observe.listening(tree) == ["tcp/22", "tcp/9100", "udp/123"]
    assert observe.resolvers(tree) == ["10.0.0.1", "10.0.0.2"]
    assert observe.timezone(tree) == "Europe/Paris"


TRACKING = "0A40000B,10.64.0.11,4,1795468160.1,-0.000003,0.1,0.1,1,2,3,4,5,64.2,Normal\n"
SOURCES = "^,*,10.64.0.11,3,6,377,1,0,0,0\n^,+,10.64.0.12,3,6,377,1,0,0,0\n"


def test_chrony_is_waited_for_only_when_it_is_young(
    tree: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["0,,0,0,0,0,0,0,0,0,0,0,0,Not synchronised\n", TRACKING]
    asked = []

    def run(command: list[str], **_: object) -> Ran:
        if command[-1] == "sources":
            return Ran(0, SOURCES, "")
        asked.append(command)
        return Ran(0, answers[min(len(asked), len(answers)) - 1], "")

    monkeypatch.setattr(tree, "run", run)
    monkeypatch.setattr(observe.time, "sleep", lambda _seconds: None)
    found = observe.clock(tree, 20, {"chrony.service": {"age": 3.0}})
    assert (found["synchronised"], found["source"], found["offset"]) == (True, "10.64.0.11", -3e-06)
    assert found["sources"] == {"10.64.0.11": "*", "10.64.0.12": "+"}
    asked.clear()
    assert not observe.clock(tree, 20, {"chrony.service": {"age": 900.0}})["synchronised"]
    assert len(asked) == 1


def test_a_clock_that_is_its_own_source_is_not_synchronised(
    tree: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = TRACKING.replace("0A40000B,10.64.0.11", "7F7F0101,")
    monkeypatch.setattr(tree, "run", lambda *_a, **_k: Ran(0, local, ""))
    assert not observe.clock(tree, 0, {})["synchronised"]


def test_links_are_what_ip_says(tree: System, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        {
            "ifname": "eno1", "mtu": 9000, "flags": ["UP", "LOWER_UP"], "master": "bond0",
            "address": "02:00:00:00:00:02", "permaddr": "02:00:00:00:00:01", "addr_info": [],
        },
        {
            "ifname": "bond0.202", "mtu": 9000, "flags": ["UP"], "link": "bond0",
            "address": "02:00:00:00:00:02",
            "linkinfo": {"info_kind": "vlan", "info_data": {"id": 202}},
            "addr_info": [
                {"local": "10.65.2.11", "prefixlen": 24, "scope": "global"},
                {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
            ],
        },
    ]  # fmt: skip
    monkeypatch.setattr(tree, "run", lambda *_a, **_k: Ran(0, json.dumps(said), ""))
    found = observe.links(tree)
    assert (found["eno1"]["mac"], found["eno1"]["bond"]) == ("02:00:00:00:00:01", "bond0")
    vlan = found["bond0.202"]
    assert (vlan["vid"], vlan["parent"], vlan["up"]) == (202, "bond0", False)
    assert vlan["addresses"] == ["10.65.2.11/24"]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_certificates_of_every_kind_are_read_without_a_program(tmp_path: Path, kind: str) -> None:
    def keygen(*words: str) -> None:
        subprocess.run(["ssh-keygen", "-q", *words], check=True, cwd=tmp_path)

    keygen("-t", "ed25519", "-N", "", "-f", "ca")
    keygen("-t", kind, "-N", "", "-f", "host")
    keygen(
        "-s",
        "ca",
        "-I",
        "it",
        "-h",
        "-n",
        "b,a",
        "-V",
        "20260101000000Z:20270101000000Z",
        "host.pub",
    )
    found = certificate.read(System(str(tmp_path)), "/host-cert.pub")
    assert found == {
        "kind": "host",
        "id": "it",
        "principals": ["a", "b"],
        "after": 1767225600,
        "before": 1798761600,
    }


def test_a_damaged_certificate_is_told_of(tmp_path: Path) -> None:
    system = System(str(tmp_path))
    assert certificate.read(system, "/none") == {"error": "there is none"}
    for text in ("", "ssh-ed25519 AAAA", "ssh-ed25519-cert-v01@openssh.com AAAA", "x y"):
        (tmp_path / "bad").write_text(text)
        assert "cannot be read" in certificate.read(system, "/bad")["error"]
