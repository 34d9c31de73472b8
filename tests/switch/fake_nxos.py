"""A stand-in for Cisco NX-OS, made from the guides to configuration replace and rollback.

It has a running and a startup configuration, checkpoints, files on bootflash, `configure replace`
with patch, judgement and commit timeout, and what `show` commands say in JSON.
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import fake_config
from fake_ssh import Device, Terminal

SERIAL = "NXS0TEST1"
NAME = "leaf1"
FAR = ("spine1", "Ethernet1/7")

FIRST = """\
version 10.2(5) Bios:version 05.47
hostname leaf1
feature bgp
feature vn-segment-vlan-based
feature nv overlay
nv overlay evpn
vlan 10
  name tenant-10
  vn-segment 10010
vrf context red
  vni 50001
interface Ethernet1/1
  description spine1
  no switchport
  mtu 9216
  no shutdown
interface Ethernet1/2
  shutdown
interface loopback0
  ip address 10.0.0.1/32
interface nve1
  no shutdown
  host-reachability protocol bgp
  source-interface loopback0
  member vni 10010
  member vni 50001 associate-vrf
router bgp 65001
  router-id 10.0.0.1
  neighbor 10.1.0.1
    remote-as 65100
    address-family l2vpn evpn
      send-community extended
"""

# The neighbour of a session in VRF red.
TENANT = "2001:db8::1"

GRAMMAR = {
    "": r"(version|hostname|feature|nv overlay|vlan|vrf context|interface|router bgp|route-map|"
    r"ip prefix-list|username|logging|ntp|no) ?.*",
    r"vlan .*": r"(name|vn-segment|no) ?.*",
    r"vrf context .*": r"(vni|rd|address-family|no) ?.*",
    r"interface .*": r"(description|no|mtu|shutdown|switchport|ip address|host-reachability|"
    r"source-interface|member vni|vrf member|channel-group) ?.*",
    r"router bgp .*": r"(router-id|neighbor|vrf|address-family|no) ?.*",
    r"(neighbor|vrf) .*": r"(remote-as|description|address-family|no) ?.*",
    r"address-family .*": r"(send-community|advertise|network|no) ?.*",
}

REPLACE = r"configure replace bootflash:(\S+) (verify-only|show-patch|commit-timeout (\d+))"


class Nxos(Device):
    """The device: what all of its terminals share."""

    def __init__(self, *, second: float = 1.0) -> None:
        super().__init__(second=second)
        self.terminal = NxosTerminal
        self.running = FIRST
        self.startup = FIRST
        self.checkpoints: dict[str, str] = {}
        self.sessions: dict[str, NxosTerminal] = {}
        self.status: dict[str, Any] = {"last_operation": "No config-replace has been performed"}
        self.log = ""
        self.deadline: float | None = None

    def hostname(self) -> str:
        found = re.search(r"^hostname (\S+)$", self.running, re.M)
        return found[1] if found else "switch"

    def shown(self, text: str) -> str:
        """A text as the device shows it after it has loaded it."""
        text = self.whole(text)
        return "".join(f"{line}\n" for line in fake_config.lines(fake_config.parse(text), 2))

    def whole(self, text: str) -> str:
        """A text with the line of the version, which is the system's and no configuration."""
        version = self.running.partition("\n")[0]
        return text if re.match(r"(?:!.*\n)*version ", text) else f"{version}\n{text}"

    def patch(self, goal: str) -> str:
        goal = self.whole(goal)
        commands = fake_config.patch(fake_config.parse(self.running), fake_config.parse(goal), 2)
        if not commands:
            return "#Generating Rollback Patch\nRollback Patch is Empty\n"
        return "#Generating Rollback Patch\n\n!!\n" + "".join(f"{line}\n" for line in commands)

    def replace(self, goal: str, seconds: int) -> str:
        """Execute the patch command by command; restore what ran if one of them fails."""
        self.status = {"last_operation": "Configure replace", "operation_status": "In progress"}
        self.log = ""
        segments: list[str] = []
        for line in goal.splitlines():
            time.sleep(self.pace)
            found = re.fullmatch(r"  vn-segment (\d+)", line)
            if found and found[1] in segments:
                self.log += f"`{line.strip()}`\nERROR: Segment {found[1]} is in use already\n"
            segments += found.groups() if found else []
        if self.log:
            self.status["operation_status"] = "Failed"
            return (
                "Executing Rollback Patch\nConfigure replace failed. "
                "Use 'show config-replace log exec' to see reasons\n"
                "Rolling back to previous configuration is successful\n"
            )
        with self.lock:
            before = self.running
            self.running = self.shown(goal)
            self.status = {"last_operation": "Configure replace", "operation_status": "Success"}
            self.deadline = self.uptime() + seconds
            self.after(seconds, lambda: self.undo(before))
        return "Executing Rollback Patch\n\nConfigure replace completed successfully\n"

    def undo(self, before: str) -> None:
        self.deadline = None
        self.running = before

    def commit(self) -> str:
        with self.lock:
            if self.deadline is None:
                return "ERROR: No commit timer is running\n"
            self.stop()
            self.deadline = None
            return "Commit successful\n"


class NxosTerminal(Terminal):
    """One command line."""

    def __init__(self, device: Nxos, user: str) -> None:
        super().__init__(device, user)
        self.device: Nxos = device
        self.session = ""
        self.asked: Callable[[], str] | None = None

    @property
    def prompt(self) -> str:
        if self.asked:
            return "Do you want to proceed? (y/n)?  [n] "
        mode = "(config-s)" if self.session else ""
        return f"{self.device.hostname()}{mode}# "

    def left(self) -> None:
        """A session manager's session stays when its user has gone."""

    def answer(self, line: str) -> str:
        if self.asked:
            action, self.asked = self.asked, None
            return action() if line == "y" else ""
        if not line:
            return ""
        for pattern, action in self._commands():
            found = re.fullmatch(pattern, line)
            if found:
                return action(*found.groups())
        return "                 ^\n% Invalid command at '^' marker.\n"

    def _commands(self) -> list[tuple[str, Callable[..., str]]]:
        device = self.device
        return [
            (r"terminal length (\d+)", self._length),
            (r"terminal width (\d+)", lambda _: ""),
            (r"show running-config", lambda: self._shown("running-config", device.running)),
            (r"show startup-config", lambda: self._shown("startup-config", device.startup)),
            (r"show file bootflash:(\S+)", self._file),
            (r"show checkpoint summary", self._checkpoints),
            (r"show diff rollback-patch running-config checkpoint (\S+)", self._diff),
            (r"show config-replace log exec", lambda: device.log),
            (r"show (.*) \| json", self._json),
            (r"checkpoint (\S+)", self._checkpoint),
            (r"no checkpoint (\S+)", self._forget),
            (r"rollback running-config checkpoint (\S+) atomic", self._rollback),
            (REPLACE, self._replace),
            (r"configure replace commit", device.commit),
            (r"configure session (\S+)", self._session),
            (r"abort", self._abort),
            (r"copy running-config startup-config", self._persist),
        ]

    def _length(self, length: str) -> str:
        self.length = int(length)
        return ""

    def _shown(self, what: str, text: str) -> str:
        return (
            f"\n!Command: show {what}\n!Running configuration last done at: Tue Mar  3 10:00:00"
            f" 2026\n!Time: {time.ctime()}\n\n{text}\n"
        )

    def _file(self, name: str) -> str:
        data = self.device.files.get(name)
        return "No such file or directory\n" if data is None else data.decode()

    def _checkpoints(self) -> str:
        found = "User Checkpoint Summary\n" + "-" * 80 + "\n"
        for number, (name, text) in enumerate(self.device.checkpoints.items(), 1):
            found += f"{number}) {name}:\nCreated by {self.user}\nSize is {len(text)} bytes\n"
            found += "Description: None\n\n"
        return found

    def _checkpoint(self, name: str) -> str:
        if name in self.device.checkpoints:
            return f"ERROR: Checkpoint {name} exists already\n"
        if len(self.device.checkpoints) >= 10:
            return "ERROR: Maximum number of checkpoints reached\n"
        self.device.checkpoints[name] = self.device.running
        return ".Done\n"

    def _forget(self, name: str) -> str:
        self.device.checkpoints.pop(name, None)
        return ".Done\n"

    def _diff(self, name: str) -> str:
        if name not in self.device.checkpoints:
            return f"ERROR: Checkpoint {name} does not exist\n"
        return f"Collecting Running-Config\n{self.device.patch(self.device.checkpoints[name])}"

    def _rollback(self, name: str) -> str:
        if name not in self.device.checkpoints:
            return f"ERROR: Checkpoint {name} does not exist\n"
        with self.device.lock:
            self.device.running = self.device.checkpoints[name]
        return "Collecting Running-Config\n#Generating Rollback Patch\nExecuting Rollback Patch\n"

    def _replace(self, name: str, option: str, seconds: str | None) -> str:
        data = self.device.files.get(name)
        if not data:
            return "ERROR: the file is not there, or empty\n"
        goal = data.decode()
        bad = list(fake_config.unknown(goal, GRAMMAR))
        if bad:
            lines = "".join(f"Syntax error while parsing '{line}'\n" for _, line in bad)
            return f"Converting to checkpoint file\n{lines}Configure replace failed\n"
        if option == "show-patch":
            return f"Collecting Running-Config\n{self.device.patch(goal)}"
        if option == "verify-only":
            return "Collecting Running-Config\nVerification completed successfully\n"
        return self._timed(goal, int(seconds or 0))

    def _timed(self, goal: str, timeout: int) -> str:
        if self.device.deadline is not None:
            return "ERROR: a commit timer is running\n"
        if not 30 <= timeout <= 3600:
            return "% Invalid number, range is (30:3600)\n"
        self.asked = lambda: self.device.replace(goal, timeout)
        return "This will replace the running configuration\n"

    def _session(self, name: str) -> str:
        self.device.sessions[name] = self
        self.session = name
        return "Config Session started, Session ID is 1\n"

    def _abort(self) -> str:
        self.device.sessions.pop(self.session, None)
        self.session = ""
        return ""

    def _persist(self) -> str:
        if self.device.full:
            return "Configuration update aborted: request was aborted, no space left\n"
        self.device.startup = self.device.running
        return "[########################################] 100%\nCopy complete.\n"

    def _json(self, what: str) -> str:
        answers = {
            "version": lambda: {
                "host_name": self.device.hostname(),
                "proc_board_id": SERIAL,
                "chassis_id": "Nexus9000 C93180YC-FX Chassis",
                "nxos_ver_str": "10.2(5)",
            },
            "config-replace status": self._status,
            "configuration session summary": self._sessions,
            "lldp neighbors detail": lambda: table(
                "nbor_detail", [{"l_port_id": "Eth1/1", "sys_name": FAR[0], "port_id": FAR[1]}]
            ),
            "interface brief": self._interfaces,
            "bgp ipv4 unicast summary vrf all": lambda: self._peers(7),
            "bgp ipv6 unicast summary vrf all": self._tenant,
            "bgp l2vpn evpn summary": lambda: self._peers(12),
            "nve vni": self._vnis,
            "ip route summary vrf all": lambda: table(
                "vrf",
                [
                    {
                        "vrf-name-out": vrf,
                        **table(
                            "addrf",
                            [{"addrf": "ipv4", **table("summary", [{"routes": str(number)}])}],
                        ),
                    }
                    for vrf, number in (("default", 9), ("red", 3))
                ],
            ),
        }
        if what not in answers:
            return "% Invalid command at '^' marker.\n"
        found = answers[what]()
        return json.dumps(found) + "\n" if found else ""

    def _status(self) -> dict[str, Any]:
        with self.device.lock:
            if self.device.deadline is None:
                return self.device.status
            left = max(1, round(self.device.deadline - self.device.uptime()))
            return self.device.status | {
                "commit_status": "Not committed",
                "commit_timeout_remaining": str(left),
            }

    def _sessions(self) -> dict[str, Any]:
        found = [
            {"ssn-name": name, "username": terminal.user, "tstamp": "10:00:00 UTC Mar 3 2026"}
            for name, terminal in self.device.sessions.items()
        ]
        return table("session_summary", found) | {"activesesscnt": str(len(found))}

    def _interfaces(self) -> dict[str, Any]:
        found = []
        for line, below in fake_config.parse(self.device.running).items():
            name = line.removeprefix("interface ")
            if name.startswith("Ethernet"):
                enabled = "shutdown" not in below
                up = enabled and name == "Ethernet1/1"
                reason = "Link not connected" if enabled else "Administratively down"
                found.append(
                    {
                        "interface": name,
                        "state": "up" if up else "down",
                        "state_rsn_desc": "none" if up else reason,
                    }
                )
        return table("interface", found)

    def _peers(self, prefixes: int) -> dict[str, Any]:
        names = re.findall(r"^  neighbor (\S+)$", self.device.running, re.M)
        peers = [
            {"neighborid": name, "state": "Established", "prefixreceived": str(prefixes)}
            for name in names
        ]
        return _summary("default", peers)

    def _tenant(self) -> dict[str, Any]:
        return _summary("red", [{"neighborid": TENANT, "state": "Idle", "prefixreceived": ""}])

    def _vnis(self) -> dict[str, Any]:
        found = []
        for vni, kind in re.findall(r"member vni (\d+)( associate-vrf)?", self.device.running):
            bound = "L3 [red]" if kind else "L2 [10]"
            found.append({"if-name": "nve1", "vni": vni, "vni-state": "Up", "type": bound})
        return table("nve_vni", found)


def _summary(vrf: str, peers: list[dict[str, Any]]) -> dict[str, Any]:
    family = table("af", [table("saf", [table("neighbor", peers)])])
    return table("vrf", [{"vrf-name-out": vrf, **family}])


def table(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """A table as NX-OS writes it: one row is no list."""
    if not found:
        return {}
    return {f"TABLE_{name}": {f"ROW_{name}": found if len(found) > 1 else found[0]}}
