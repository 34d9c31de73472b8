"""Says what the host is, for the parts that the roles expect something of. Changes nothing."""

import json
import os
import platform
import socket
import time
from collections.abc import Mapping
from typing import Any

from . import certificate, preflight, ruleset, units
from .system import DRAINED, NodeError, System

Observed = dict[str, Any]

# The SHA-256 of the image that a server was installed from; no file if it was installed otherwise.
IMAGE = "/etc/chapelle/image"

STARTED_RECENTLY = 60.0  # seconds: a clock daemon this young may need time to find its servers
POLL = 0.5  # seconds


def observe(system: System, request: Mapping[str, Any]) -> Observed:
    """Look at the host's facts, and at what `expect` names (by role: `<role>_expect`)."""
    expect: Mapping[str, Mapping[str, Any]] = request["expect"]
    found: Observed = {
        "facts": facts(system),
        "hostname": socket.gethostname(),
        "timezone": timezone(system),
        "resolvers": resolvers(system),
        "links": links(system),
        "gateways": gateways(system),
        "listening": listening(system),
        "units": _units(system, expect),
        "drained": (system.read(DRAINED) or "").strip(),
    }
    if "servers" in expect.get("time", {}):
        found["time"] = clock(system, float(expect["time"].get("wait", 0)), found["units"])
    if path := expect.get("access", {}).get("certificate"):
        found["certificate"] = certificate.read(system, path)
    if wanted := expect.get("access", {}).get("sshd"):
        found["sshd"] = sshd(system, wanted)
    if expect.get("firewall", {}).get("table"):
        found["firewall"] = firewall(system, expect["firewall"])
    return found


def facts(system: System) -> dict[str, Any]:
    """What NetBox is told about the host: plain values that change rarely."""
    release = dict(
        line.split("=", 1)
        for line in (system.read("/etc/os-release") or "").splitlines()
        if "=" in line
    )
    image = (system.read(IMAGE) or "").strip()
    memory = (system.read("/proc/meminfo") or "MemTotal: 0").split()[1]
    return {
        "machine_id": (system.read("/etc/machine-id") or "").strip(),
        "serial": preflight.serial(system),
        "container": preflight.in_container(system),
        "os": release.get("PRETTY_NAME", "").strip('"'),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "memory_mib": int(memory) // 1024,
        **({"image": image} if image else {}),
    }


def timezone(system: System) -> str:
    """The zone's name, such as Europe/Paris."""
    here = system.path("/etc/localtime")
    target = os.readlink(here) if os.path.islink(here) else ""
    return target.partition("/zoneinfo/")[2]


def resolvers(system: System) -> list[str]:
    """The name servers that the resolver asks, in order."""
    lines = (system.read("/etc/resolv.conf") or "").splitlines()
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]


def links(system: System) -> dict[str, dict[str, Any]]:
    """Links by name.

    Each has `mac` (the permanent one where it differs), `mtu`, `up`, `kind`, `bond`, `vid`,
    `parent` and `addresses` with prefix length (no link-local ones).
    """
    ran = system.run(["ip", "-json", "-details", "address", "show"])
    if ran.status != 0:
        raise NodeError("The links cannot be listed.", phase="observe", found=ran.said())
    found = {}
    for link in json.loads(ran.out):
        info = link.get("linkinfo", {})
        found[link["ifname"]] = {
            "mac": link.get("permaddr") or link.get("address"),
            "mtu": link["mtu"],
            "up": "LOWER_UP" in link.get("flags", ()),
            "kind": info.get("info_kind", "physical"),
            "bond": link.get("master"),
            "vid": info.get("info_data", {}).get("id"),
            "parent": link.get("link"),
            "addresses": sorted(
                f"{a['local']}/{a['prefixlen']}"
                for a in link.get("addr_info", ())
                if a.get("scope") == "global"
            ),
        }
    return found


def gateways(system: System) -> list[str]:
    """The IPv4 default gateways (proc(5): addresses are in the host's byte order)."""
    found = []
    for line in (system.read("/proc/net/route") or "").splitlines()[1:]:
        fields = line.split("\t")
        if fields[1] == "00000000" and fields[7] == "00000000":
            found.append(socket.inet_ntoa(int(fields[2], 16).to_bytes(4, "little")))
    return sorted(found)


def listening(system: System) -> list[str]:
    """Sockets that wait for others: `tcp/22`, `udp/323`; those bound to loopback are left out."""
    found = set()
    for protocol, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in (system.read(f"/proc/net/{protocol}") or "").splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            loopback = (
                address.endswith("7F") if len(address) == 8 else address == "0" * 24 + "01000000"
            )
            if fields[3] == state and not loopback:
                found.add(f"{protocol[:3]}/{int(port, 16)}")
    return sorted(found, key=lambda name: (name[:3], int(name[4:])))


def _units(system: System, expect: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    names = [name for role in expect.values() for name in role.get("units", ())]
    found = {}
    for name, shown in units.show(system, names).items():
        entered = int(shown.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
        found[name] = {
            "active": shown.get("ActiveState", "unknown"),
            "enabled": shown.get("UnitFileState", ""),
            "refused_by": units.refused_by(shown),
            "age": round(time.clock_gettime(time.CLOCK_MONOTONIC) - entered, 1)
            if entered
            else None,
        }
    return found


def clock(system: System, wait: float, shown: Mapping[str, Any]) -> dict[str, Any]:
    """What chrony says of its sources and the clock.

    Arguments:
        wait: seconds to wait for synchronisation, only when chrony has just been started.
        shown: units, as observed; for chrony's age.
    """
    age = (shown.get("chrony.service") or {}).get("age")
    young = age is not None and age < STARTED_RECENTLY
    deadline = time.monotonic() + (wait if young else 0)
    while True:
        found = _tracking(system)
        if found["synchronised"] or time.monotonic() >= deadline:
            return found
        time.sleep(POLL)


def _tracking(system: System) -> dict[str, Any]:
    """`chronyc -c` prints the columns of chronyc(1), separated by commas."""
    tracking = system.run(["chronyc", "-n", "-c", "tracking"], timeout=10)
    sources = system.run(["chronyc", "-n", "-c", "sources"], timeout=10)
    fields = tracking.out.strip().split(",")
    if tracking.status != 0 or len(fields) < 14:
        said = tracking.said() or "no answer"
        return {"synchronised": False, "says": said, "source": "", "offset": None, "sources": {}}
    states = {}
    for line in sources.out.splitlines():
        columns = line.split(",")
        if len(columns) > 5:
            states[columns[2]] = columns[1]
    return {
        "synchronised": fields[13] == "Normal" and fields[0] not in ("00000000", "7F7F0101"),
        "says": fields[13],
        "source": fields[1],
        "offset": float(fields[4]),
        "sources": states,
    }


def sshd(system: System, wanted: Mapping[str, str]) -> dict[str, str]:
    """The options named by `wanted` as sshd understands its configuration."""
    ran = system.run(["sshd", "-T"])
    options = dict(line.split(" ", 1) for line in ran.out.splitlines() if " " in line)
    return {name: options.get(name, ran.said() if ran.status else "") for name in wanted}


def firewall(system: System, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Whether the table that runs is the one in the file."""
    text = system.read(wanted["path"])
    try:
        intended = ruleset.normal_form(system, text or "", wanted["table"], "firewall")
    except NodeError as error:
        return {"loaded": False, "matches": False, "says": error.details["found"]}
    now = ruleset.running(system, wanted["table"])
    extra = set((now or "").splitlines()) ^ set(intended.splitlines())
    return {
        "loaded": now is not None,
        "matches": now == intended,
        "says": " | ".join(sorted(line.strip() for line in extra))[:500],
    }
