"""A stand-in for Arista EOS, made from the manual's description of configuration sessions.

It has a running and a startup configuration, named sessions with a diff, commits with a timer that
fires, checkpoints, the configuration lock, and what `show` commands say in JSON.
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import fake_config
from fake_ssh import CONTROL_D, Device, Terminal

SERIAL = "EOS0TEST1"
NAME = "leaf1"
FAR = ("spine1", "Ethernet7")

FIRST = """\
transceiver qsfp default-mode 4x10G
!
service routing protocols model multi-agent
!
hostname leaf1
!
spanning-tree mode mstp
!
vlan 10
   name tenant-10
!
vrf instance red
!
interface Ethernet1
   description spine1
   mtu 9214
   no switchport
!
interface Ethernet2
   shutdown
!
interface Loopback0
   ip address 10.0.0.1/32
!
interface Vxlan1
   vxlan source-interface Loopback0
   vxlan vlan 10 vni 10010
   vxlan vrf red vni 50001
!
ip routing
ip routing vrf red
!
router bgp 65001
   router-id 10.0.0.1
   neighbor FABRIC peer group
   neighbor FABRIC send-community extended
   neighbor interface Et1 peer-group FABRIC remote-as 65100
   !
   address-family evpn
      neighbor FABRIC activate
!
end
"""

# The neighbour of a session in VRF red.
TENANT = "2001:db8::1"

GRAMMAR = {
    "": r"(transceiver|service|hostname|spanning-tree|vlan|vrf instance|interface|ip routing|"
    r"ip prefix-list|router bgp|route-map|logging|ntp|username|no|end) ?.*",
    r"vlan .*": r"(name|no|state) ?.*",
    r"interface Vxlan.*": r"(vxlan|description|no|shutdown) ?.*",
    r"interface .*": r"(description|mtu|no|switchport|shutdown|ip address|vrf|channel-group) ?.*",
    r"router bgp .*": r"(router-id|neighbor|address-family|vlan|vrf|bgp|maximum-paths|no) ?.*",
    r"(address-family|vrf|vlan) .*": r"(neighbor|rd|route-target|redistribute|no|network) ?.*",
    r"vrf instance .*": r"(rd|description|no) ?.*",
}


class Eos(Device):
    """The device: what all of its terminals share."""

    def __init__(self, *, second: float = 1.0) -> None:
        super().__init__(second=second)
        self.terminal = EosTerminal
        self.running = FIRST
        self.startup = FIRST
        self.sessions: dict[str, dict[str, Any]] = {}
        self.checkpoints: dict[str, str] = {}
        self.lock_holder: EosTerminal | None = None

    def hostname(self) -> str:
        found = re.search(r"^hostname (\S+)$", self.running, re.M)
        return found[1] if found else "localhost"

    def commit(self, name: str, seconds: int | None) -> str:
        """Make a session the running configuration; with a time, until then only."""
        session = self.sessions[name]
        vnis = re.findall(r"vni (\d+)$", session["text"], re.M)
        if len(vnis) != len(set(vnis)):
            return "% Error: commit failed: a VNI is mapped more than once\n"
        with self.lock:
            if seconds is None:
                session["state"] = "completed"
            elif any(each["state"] == "pendingCommitTimer" for each in self.sessions.values()):
                return "% Cannot commit: another session has a pending commit timer\n"
            else:
                session.update(
                    state="pendingCommitTimer",
                    commitBy=self.uptime() + seconds,
                    before=self.running,
                )
                self.after(seconds, lambda: self.undo(name))
            self.running = session["text"]
        return ""

    def confirm(self, name: str) -> str:
        with self.lock:
            if self.sessions[name]["state"] == "pendingCommitTimer":
                self.stop()
                self.sessions[name]["state"] = "completed"
                return ""
        return self.commit(name, None)

    def undo(self, name: str) -> None:
        """Abort a session; a commit that was not confirmed goes back."""
        with self.lock:
            session = self.sessions.pop(name)
            if session["state"] == "pendingCommitTimer":
                self.stop()
                self.running = session["before"]


class EosTerminal(Terminal):
    """One command line."""

    def __init__(self, device: Eos, user: str) -> None:
        super().__init__(device, user)
        self.device: Eos = device
        self.mode = "exec"
        self.session = ""
        self.pasted: list[str] = []

    @property
    def prompt(self) -> str:
        name = self.device.hostname()
        if self.mode == "session":
            return f"{name}(config-s-{self.session[:6]})#"
        return f"{name}(config)#" if self.mode == "config" else f"{name}#"

    def left(self) -> None:
        for session in self.device.sessions.values():
            session["instances"].discard(self)
        if self.device.lock_holder is self:
            self.device.lock_holder = None

    def answer(self, line: str) -> str:
        if not line:
            return ""
        for pattern, action in self._commands():
            found = re.fullmatch(pattern, line)
            if found:
                return action(*found.groups())
        return "% Invalid input\n"

    def _commands(self) -> list[tuple[str, Callable[..., str]]]:
        commands: list[tuple[str, Callable[..., str]]] = [
            (r"enable", lambda: ""),
            (r"terminal length (\d+)", self._length),
            (r"terminal width (\d+)", lambda width: f"Width set to {width} columns.\n"),
            (r"show running-config", lambda: self._shown("running-config", self.device.running)),
            (r"show startup-config", lambda: self._shown("startup-config", self.device.startup)),
            (r"show (.*) \| json", self._json),
            (r"more checkpoint:(\S+)", self._more),
            (r"exit|end", self._leave),
        ]
        if self.mode == "session":
            commands += [
                (r"rollback clean-config", self._clean),
                (r"copy terminal: session-config", self._paste),
                (r"show session-config diffs", self._diffs),
                (r"commit", lambda: self._committed(None)),
                (r"commit timer (\d\d):(\d\d):(\d\d)", self._timer),
                (r"abort", self._abort),
            ]
        elif self.mode == "exec":
            commands += [
                (r"configure terminal", self._configure),
                (r"configure lock", self._lock),
                (r"configure session (\S+)", self._enter),
                (r"configure session (\S+) commit", self._confirm),
                (r"configure session (\S+) abort", self._end),
                (r"configure checkpoint save (\S+)", self._save),
                (r"configure checkpoint restore (\S+)", self._restore),
                (r"copy running-config startup-config", self._persist),
            ]
        return commands

    def _length(self, length: str) -> str:
        self.length = int(length)
        return "Pagination disabled.\n" if self.length == 0 else f"Length {length}.\n"

    def _shown(self, what: str, text: str) -> str:
        return f"! Command: show {what}\n! device: {NAME} (vEOS-lab, EOS-4.30.1F)\n!\n{text}"

    def _leave(self) -> str:
        self.over = self.mode == "exec"
        if self.mode == "session":
            self.device.sessions[self.session]["instances"].discard(self)
        self.mode = "exec"
        return ""

    def _configure(self) -> str:
        if self.device.lock_holder not in {None, self}:
            return "% Unable to run this command (configuration is locked)\n"
        self.mode = "config"
        return ""

    def _lock(self) -> str:
        if self.device.lock_holder not in {None, self}:
            return "% Configuration lock is held by another user\n"
        self.device.lock_holder = self
        return ""

    def _enter(self, name: str) -> str:
        if self.device.lock_holder not in {None, self}:
            return "% Unable to run this command (configuration is locked)\n"
        open_ones = [s for s in self.device.sessions.values() if s["state"] == "pending"]
        if name not in self.device.sessions:
            if len(open_ones) >= 5:
                return "% Maximum number of pending sessions has been reached\n"
            self.device.sessions[name] = {
                "state": "pending",
                "text": self.device.running,
                "instances": set(),
            }
        self.device.sessions[name]["instances"].add(self)
        self.mode, self.session = "session", name
        return ""

    def _clean(self) -> str:
        self.device.sessions[self.session]["text"] = "end\n"
        return ""

    def _paste(self) -> str:
        self.pasted = []
        self.pasting = self._pasted
        return "enter input line by line; when done enter one or more control-d\n"

    def _pasted(self, line: str) -> str:
        """EOS judges each line when the input has ended, and keeps those that it knows."""
        time.sleep(self.device.pace)
        if line != CONTROL_D:
            self.pasted.append(line)
            return ""
        self.pasting = None
        text = "".join(f"{each}\n" for each in self.pasted)
        bad = list(fake_config.unknown(text, GRAMMAR))
        kept = [each for number, each in enumerate(self.pasted, 1) if number not in dict(bad)]
        session = self.device.sessions[self.session]
        tree = fake_config.parse("".join(f"{each}\n" for each in kept))
        session["text"] = fake_config.blocks(tree, 3, "!\nend\n")
        errors = "".join(f"% Invalid input at line {number}\n" for number, _ in bad)
        return f"\n{errors}Copy completed successfully.\n"

    def _diffs(self) -> str:
        session = self.device.sessions[self.session]
        return fake_config.unified(
            self.device.running,
            session["text"],
            "system:/running-config",
            f"session:/{self.session}-session-config",
        )

    def _timer(self, hours: str, minutes: str, seconds: str) -> str:
        return self._committed(int(hours) * 3600 + int(minutes) * 60 + int(seconds))

    def _committed(self, seconds: int | None) -> str:
        said = self.device.commit(self.session, seconds)
        self._leave()
        return said

    def _abort(self) -> str:
        self.device.undo(self.session)
        self.mode = "exec"
        return ""

    def _confirm(self, name: str) -> str:
        if name not in self.device.sessions:
            return f"% Session {name} does not exist\n"
        return self.device.confirm(name)

    def _end(self, name: str) -> str:
        if name not in self.device.sessions:
            return f"% Session {name} does not exist\n"
        self.device.undo(name)
        return ""

    def _save(self, name: str) -> str:
        self.device.checkpoints[name] = self.device.running
        return ""

    def _more(self, name: str) -> str:
        if name not in self.device.checkpoints:
            return f"% Error displaying checkpoint:{name} (No such file or directory)\n"
        return self._shown("running-config", self.device.checkpoints[name])

    def _restore(self, name: str) -> str:
        if name not in self.device.checkpoints:
            return "% Invalid checkpoint name\n"
        with self.device.lock:
            self.device.running = self.device.checkpoints[name]
        return ""

    def _persist(self) -> str:
        if self.device.full:
            return "% Error copying to flash:/startup-config (No space left on device)\n"
        self.device.startup = self.device.running
        return "Copy completed successfully.\n"

    def _json(self, what: str) -> str:
        answers = {
            "version": lambda: {
                "modelName": "vEOS-lab",
                "serialNumber": SERIAL,
                "version": "4.30.1F",
                "uptime": self.device.uptime(),
            },
            "hostname": lambda: {"hostname": self.device.hostname(), "fqdn": f"{NAME}.test"},
            "configuration sessions detail": self._sessions,
            "configuration lock": self._holder,
            "lldp neighbors": lambda: {
                "lldpNeighbors": [
                    {
                        "port": "Ethernet1",
                        "neighborDevice": FAR[0],
                        "neighborPort": FAR[1],
                        "ttl": 120,
                    }
                ]
            },
            "interfaces status": self._interfaces,
            "ip bgp summary vrf all": lambda: self._peers(7),
            "ipv6 bgp summary vrf all": lambda: {
                "vrfs": {"red": {"peers": {TENANT: {"peerState": "Idle", "prefixAccepted": 0}}}}
            },
            "bgp evpn summary": lambda: self._peers(12),
            "vxlan vni": self._vnis,
            "interfaces Vxlan1": lambda: {
                "interfaces": {"Vxlan1": {"name": "Vxlan1", "lineProtocolStatus": "up"}}
            },
            "ip route vrf all summary": lambda: {
                "vrfs": {"default": {"totalRoutes": 9}, "red": {"totalRoutes": 3}}
            },
        }
        if what not in answers:
            return "% Invalid input\n"
        return json.dumps(answers[what](), indent=4) + "\n"

    def _sessions(self) -> dict[str, Any]:
        return {
            "sessions": {
                name: {
                    "state": session["state"],
                    "commitUser": "",
                    "description": "",
                    "instances": {
                        str(id(each)): {"user": each.user, "terminal": "vty5"}
                        for each in session["instances"]
                    },
                    **({"commitBy": session["commitBy"]} if "commitBy" in session else {}),
                }
                for name, session in self.device.sessions.items()
            },
            "maxSavedSessions": 1,
            "maxOpenSessions": 5,
        }

    def _holder(self) -> dict[str, Any]:
        holder = self.device.lock_holder
        return {"userInfo": {"username": holder.user, "userTty": "vty4"}} if holder else {}

    def _interfaces(self) -> dict[str, Any]:
        statuses = {}
        for line, below in fake_config.parse(self.device.running).items():
            name = line.removeprefix("interface ")
            if name.startswith("Ethernet"):
                down = "disabled" if "shutdown" in below else "notconnect"
                cabled = name == "Ethernet1" and "shutdown" not in below
                statuses[name] = {"linkStatus": "connected" if cabled else down}
        return {"interfaceStatuses": statuses}

    def _peers(self, prefixes: int) -> dict[str, Any]:
        found = re.findall(r"^ +neighbor interface (\S+) peer-group", self.device.running, re.M)
        return {
            "vrfs": {
                "default": {
                    "peers": {
                        f"fe80::1%{peer}": {"peerState": "Established", "prefixAccepted": prefixes}
                        for peer in found
                    }
                }
            }
        }

    def _vnis(self) -> dict[str, Any]:
        bound = re.findall(r"vxlan (vlan|vrf) (\S+) vni (\d+)", self.device.running)
        if not bound:
            return {"vxlanIntfs": {}}
        return {
            "vxlanIntfs": {
                "Vxlan1": {
                    "vniBindings": {
                        vni: {"vlan": int(name)} for kind, name, vni in bound if kind == "vlan"
                    },
                    "vniBindingsToVrf": {
                        vni: {"vrfName": name} for kind, name, vni in bound if kind == "vrf"
                    },
                }
            }
        }
