"""FRRouting on Debian, as root of the switch, over a shell: the reference platform.

FRR has no candidate, no rollback, and no lock of its own (measured with 8.4.4: two sessions are in
configuration mode at once, and a refused line leaves the lines before it applied). So:

- a candidate is judged by `vtysh -C -f`, which names the line, and compared by `frr-reload.py
  --test`, whose exit status is 0 for what it could read;
- `frr-reload.py --reload` makes it run. It is not atomic and its exit status proves nothing in
  either direction: what counts is that a second comparison is empty;
- a timer of the switch's own systemd goes back to the checkpoint, whether or not we are there;
- only one session of ours at a time may change anything: it holds a lock in /run/chapelle.

The kernel's links are part of the configuration, as sections `file PATH` (`model.linkfile`): the
files that networkd makes them of. Where they change, FRRouting is stopped meanwhile (frr_links.sh).

Running and startup configuration are apart until `persist`: a restart of the switch, armed or not,
comes up with the old frr.conf and the old links. Sources: FRR 8.4 user guide, "VTY shell" and
"frr-reload.py"; systemd-run(1); the figures in the project's notes were measured on Debian 12.
"""

import re
from collections.abc import Set
from pathlib import Path
from types import TracebackType
from typing import Self

from chapelle.drivers.switch import frr_facts, frr_links, names
from chapelle.drivers.switch.contract import (
    CandidateError,
    Pending,
    SwitchError,
    Target,
    UnwrittenError,
)
from chapelle.drivers.switch.frr_links import LIBRARY, RUN
from chapelle.drivers.switch.shell import Done, Shell
from chapelle.model import linkfile
from chapelle.model.switch import Facts, Identity

KEPT = 10  # checkpoints
RELOAD = "/usr/lib/frr/frr-reload.py"
CANDIDATE = f"{RUN}/inbox/candidate.conf"
# Scripts beside this module that the switch needs, there in /var/lib/chapelle.
TOOLS = ("links.sh", "sections.sh", "revert.sh")
DAEMONS = "/etc/frr/daemons"

# Between two answers of one script; no configuration has such a line.
END = "=chapelle="

# Seconds that vtysh may take to ask all daemons; one that hangs would keep it for ever.
ANSWERING = 30

# Seconds that a comparison may take, and a reload: each deleted line is a process of its own, some
# 90 ms (measured), and long prefix lists take longer than that.
COMPARING = 120.0
RELOADING = 900.0

# What a script says once the start-up configuration is another one.
WRITTEN = "=written="

# Seconds that a revert which has fired is waited for.
PATIENCE = 60

# An operator who typed at vtysh so many seconds ago is at work there.
AT_WORK = 120

# Of a script whose first argument is a checkpoint's file.
_IS_KEPT = """
    [ -s "$1" ] && [ -d "${1%.conf}.links" ] || { echo "there is no checkpoint $1"; exit 3; }"""

# Which daemon takes which lines, beside zebra and staticd, which always run (FRR user guide).
NEEDS = (
    (re.compile(r"^(router bgp|bgp) ", re.MULTILINE), "bgpd"),
    (re.compile(r"^bfd$|^ neighbor \S+ bfd\b", re.MULTILINE), "bfdd"),
    (re.compile(r"^router ospf( |$)", re.MULTILINE), "ospfd"),
    (re.compile(r"^router ospf6( |$)", re.MULTILINE), "ospf6d"),
    (re.compile(r"^router isis ", re.MULTILINE), "isisd"),
    (re.compile(r"^pbr-map ", re.MULTILINE), "pbrd"),
    (re.compile(r"^ip pim |^ ip pim", re.MULTILINE), "pimd"),
)


class Frr:
    """One session with an FRR switch; see the contract for what each method does."""

    def __init__(self, target: Target, transcripts: Path | None = None) -> None:
        self._target = target
        self._shell = Shell(target, transcripts)
        self._locked = False
        self._welcome = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shell.session.close()

    def identify(self) -> Identity:
        """The serial number is that of /etc/chapelle/serial, which a site may set; or DMI's.

        A container shows the DMI of the machine that it runs on: there it is /etc/machine-id.
        """
        script = """
            if [ -s /etc/chapelle/serial ]; then cat /etc/chapelle/serial
            elif systemd-detect-virt -qc || ! [ -s /sys/class/dmi/id/product_serial ]
            then cat /etc/machine-id; else cat /sys/class/dmi/id/product_serial; fi | head -n 1
            hostname; { cat /sys/class/dmi/id/product_name 2>/dev/null || echo; } | head -n 1
            vtysh -c 'show version' | head -n 1"""
        said = self._shell.must(script, purpose="say who it is").split("\n")
        version = re.match(r"FRRouting (\S+)", said[3]) if len(said) > 3 else None
        if version is None or not said[0].strip():
            raise SwitchError(
                f"{self._target.name} does not say who it is.",
                where=self._target.name,
                expected="a serial number, a name, a model, and the version of FRRouting",
                found=" / ".join(said),
                remedy="systemctl status frr",
            )
        serial, hostname, model = (line.strip() for line in said[:3])
        return Identity(serial=serial, hostname=hostname, model=model, version=version[1])

    def running(self) -> str:
        """See the contract. One process of vtysh shows it, between two looks at the daemons."""
        return linkfile.sections(frr_links.read(self._shell)) + self._in_frr()

    def _in_frr(self) -> str:
        """What runs in FRRouting."""
        script = f"""
            cat {DAEMONS}; echo {END}
            exec timeout {ANSWERING} vtysh -c 'show daemons' -c 'show running-config no-header' \\
              -c 'show daemons'"""
        done = self._shell.root(script, timeout=ANSWERING + 30.0)
        if done.status == 124:  # timeout(1)
            raise SwitchError(
                f"A daemon of {self._target.name} does not answer, so nothing is known for sure.",
                where=self._target.name,
                expected=f"its running configuration within {ANSWERING} s",
                found="nothing",
                remedy="journalctl -u frr; vtysh -c 'show watchfrr'",
            )
        pattern = rf"(.*){END}\n ?([^\n]*)\n(.*?^end\n) ?([^\n]*)\n"
        found = re.fullmatch(pattern, done.text, re.MULTILINE | re.DOTALL)
        if done.status != 0 or found is None:
            raise self._shell.failed("show its running configuration", done)
        self._complete(found[1], set(found[2].split()) & set(found[4].split()))
        return found[3]

    def check(self, candidate: str) -> None:
        """See the contract; also refused is what needs a daemon that the switch does not run."""
        self._lock()
        self._put(candidate)
        script = f"vtysh -C -f {CANDIDATE} || exit; echo {END}; vtysh -c 'show daemons'"
        done = self._shell.root(script, timeout=COMPARING)
        if done.status != 0:
            raise self._refused(candidate, done)
        daemons = done.text.partition(END)[2].split()
        for pattern, daemon in NEEDS:
            line = pattern.search(candidate)
            if line and daemon not in daemons:
                raise CandidateError(
                    f"{self._target.name} does not run {daemon}, which the candidate needs.",
                    where=f"line {candidate[: line.start()].count(chr(10)) + 1}: {line[0].strip()}",
                    expected=f"{daemon} to run",
                    found=", ".join(daemons),
                    remedy=f"{daemon}=yes in /etc/frr/daemons, then systemctl restart frr",
                )

    def diff(self, candidate: str) -> str:
        """See the contract: what `frr-reload.py --test` would delete, and what it would add."""
        self.check(candidate)
        return self._difference(CANDIDATE) + frr_links.difference(self._shell, frr_links.CANDIDATE)

    def checkpoint(self, name: str) -> str:
        """See the contract; it is kept in /var/lib/chapelle/checkpoints, the latest ten."""
        path = _checkpoint(name)
        files, text = frr_links.read(self._shell), self._in_frr()
        self._shell.session.put(self._inbox("checkpoint.conf"), text)
        script = f"""
            umask 077; mkdir -p {LIBRARY}/checkpoints; cd {LIBRARY}/checkpoints
            rm -rf .new .links; cp -r {frr_links.CANDIDATE} .links
            cp {RUN}/inbox/checkpoint.conf .new; cmp .new {RUN}/inbox/checkpoint.conf
            sync .new .links/* .links 2>/dev/null || sync
            rm -rf "$1" "${{1%.conf}}.links"; mv .links "${{1%.conf}}.links"; mv .new "$1"; sync .
            ls -t | grep 'conf$' | tail -n +{KEPT + 1} | while read -r old; do
              rm -rf "$old" "${{old%.conf}}.links"
            done"""
        frr_links.put(self._shell, files)
        self._shell.must(script, path, purpose="keep a checkpoint")
        return linkfile.sections(files) + text

    def arm(self, name: str, seconds: int) -> None:
        """See the contract. The timer is systemd's, and needs neither us nor a network."""
        path = _checkpoint(name)
        self._lock()
        script = f"""
            {_IS_KEPT}
            cd {RUN}
            if [ -e armed ]; then
              systemctl -q is-active chapelle-revert.timer chapelle-revert.service &&
                {{ echo "armed already: $(cat armed)"; exit 3; }}
              rm -f armed  # its timer has been taken away
            fi
            rm -f fired confirmed
            for _ in $(seq {PATIENCE * 5}); do  # one that has just fired may still be at it
              systemctl -q is-active chapelle-revert.service chapelle-revert-now.service || break
              sleep 0.2
            done
            systemctl stop chapelle-revert.timer 2>/dev/null || :
            systemctl reset-failed chapelle-revert.service 2>/dev/null || :
            systemd-run --quiet --unit=chapelle-revert --on-active="$3" \\
              --timer-property=AccuracySec=100ms /bin/sh {LIBRARY}/revert.sh "$2" armed
            read -r up _ </proc/uptime
            echo "$2 $((${{up%.*}} + $3))" >armed.new; mv armed.new armed"""
        purpose = "arm its revert"
        self._shell.must(script, path, name, str(seconds), purpose=purpose, timeout=PATIENCE + 30.0)

    def apply(self, candidate: str) -> None:
        """See the contract. It goes on when the session is lost, and ends when the revert fires."""
        self._lock()
        pending = self.pending()
        if pending is None:
            raise names.not_armed(self._target, "nothing was applied")
        self._put(candidate)
        script = f"""
            systemctl stop chapelle-apply.service 2>/dev/null || :
            rm -rf {RUN}/apply; mkdir -p {RUN}/apply; : >{RUN}/apply/vtysh.conf
            cp {CANDIDATE} {RUN}/apply/frr.conf; cmp {CANDIDATE} {RUN}/apply/frr.conf
            /bin/sh {LIBRARY}/sections.sh {RUN}/apply/frr.conf
            cp -r {frr_links.CANDIDATE} {RUN}/apply/links
            systemctl reset-failed chapelle-apply.service 2>/dev/null || :
            systemd-run --quiet --wait --collect --unit=chapelle-apply /bin/sh -c '
              exec 8>{RUN}/reload; flock -n 8 || exit 1; [ -e {RUN}/armed ] || exit 1
              /bin/sh {LIBRARY}/links.sh {RUN}/apply/links >{RUN}/apply/links.log 2>&1 || exit 1
              touch {RUN}/apply/linked
              exec {RELOAD} --reload --confdir {RUN}/apply {RUN}/apply/frr.conf \\
                >{RUN}/apply/log 2>&1' || :
            [ -e {RUN}/armed ] || {{ echo "the revert has fired meanwhile"; exit 4; }}
            [ -e {RUN}/apply/linked ] || {{ cat {RUN}/apply/links.log || :; exit 5; }}
            grep -aE "%|rror|ailed" {RUN}/apply/log | tail -n 5 || :"""
        done = self._shell.root(script, timeout=min(pending.seconds + 30.0, RELOADING))
        if done.status != 0:
            raise self._shell.failed("apply the candidate", done)
        left = self._difference(f"{RUN}/apply/frr.conf")
        left += frr_links.difference(self._shell, f"{RUN}/apply/links")
        if left:
            raise names.partly(self._target, " / ".join((done.text + left).split("\n")))

    def confirm(self, name: str) -> None:
        """See the contract. A file is renamed, which can be done once: by us or by the revert."""
        script = f"""
            cd {RUN} 2>/dev/null || {{ echo "nothing was armed"; exit 3; }}
            [ ! -e fired ] || {{ echo "the revert to $(cat fired) has fired"; exit 3; }}
            [ -e armed ] || {{ echo "nothing is armed"; exit 3; }}
            read -r pending _ <armed || {{ echo "it has just fired"; exit 3; }}
            [ "$pending" = "$1" ] || {{ echo "what is armed is $pending"; exit 3; }}
            mv armed confirmed 2>/dev/null || {{ echo "it has just fired"; exit 3; }}
            systemctl stop chapelle-revert.timer || :"""
        _checkpoint(name)
        done = self._shell.root(script, name)
        if done.status == 3:
            raise names.not_armed(self._target, f"it was not confirmed: {done.text.strip()}")
        if done.status != 0:
            raise self._shell.failed("confirm the change", done)

    def revert(self, name: str) -> None:
        """See the contract. A unit of systemd does it, which a lost session does not stop."""
        path = _checkpoint(name)
        self._inbox("")
        script = f"""
            {_IS_KEPT}
            mkdir -p {RUN}/revert; rm -f {RUN}/revert/log
            systemd-run --quiet --wait --collect --unit=chapelle-revert-now \\
              /bin/sh {LIBRARY}/revert.sh "$2" now && exit
            cat {RUN}/revert.links.log || :; tail -n 5 {RUN}/revert/log; exit 1"""
        done = self._shell.root(script, path, name, timeout=RELOADING)
        if done.status != 0:
            raise self._shell.failed("go back to its checkpoint", done)
        self.running()  # all daemons and links are there, so that the comparison was whole

    def persist(self) -> None:
        """See the contract. frr.conf is replaced whole or not at all.

        vtysh's own `write memory` first moves the old file away and then writes in place: a full
        disk leaves part of a configuration. What we write is what it would: the running
        configuration without its last line, `end`.
        """
        self._lock()
        if self.pending() is not None:
            raise names.not_confirmed(self._target)
        links, text = frr_links.read(self._shell), self._in_frr()
        self._shell.session.put(self._inbox("startup.conf"), text.removesuffix("end\n"))
        script = f"""
            cd /etc/frr; trap 'rm -f .chapelle.new' EXIT
            cp {RUN}/inbox/startup.conf .chapelle.new; cmp {RUN}/inbox/startup.conf .chapelle.new
            chown frr:frr .chapelle.new; chmod 640 .chapelle.new; sync .chapelle.new
            mv .chapelle.new frr.conf; echo {WRITTEN}; sync .
            rm -rf {LIBRARY}/links-gone; [ ! -e {LIBRARY}/links-before ] ||
              mv {LIBRARY}/links-before {LIBRARY}/links-gone
            sync {LIBRARY}; rm -rf {LIBRARY}/links-gone
            cmp {RUN}/inbox/startup.conf frr.conf"""
        done = self._shell.root(script)
        if done.status != 0 and WRITTEN not in done.text:
            purpose = "write /etc/frr/frr.conf, which is as it was"
            raise self._shell.failed(purpose, done, UnwrittenError)
        if done.status != 0:
            raise self._shell.failed("write all that it starts with", done)
        if (frr_links.read(self._shell), self._in_frr()) != (links, text):
            raise names.not_persisted(self._target)

    def pending(self) -> Pending | None:
        """See the contract."""
        script = f"""
            cd {RUN} 2>/dev/null || exit 0
            # One that has fired, or was told to, is pending until it is done.
            if systemctl -q is-active chapelle-revert.service chapelle-revert-now.service; then
              name=$(cut -d" " -f1 fired armed 2>/dev/null | head -n 1)
              echo "${{name:-unnamed}} 0 0"; exit
            fi
            armed=$(cat armed 2>/dev/null) || exit 0  # it may fire at any moment
            systemctl -q is-active chapelle-revert.timer || exit 0
            echo "$armed"; cat /proc/uptime"""
        said = self._shell.must(script, purpose="say whether it is armed").split()
        if not said:
            return None
        return Pending(checkpoint=said[0], seconds=max(0.0, float(said[1]) - float(said[2])))

    def facts(self) -> Facts:
        """See the contract."""
        return frr_facts.read(self._shell, self.identify())

    def _difference(self, path: str) -> str:
        """What separates the running configuration from a file on the switch.

        A daemon that is down would show as lines to add, and a file that cannot be read as lines to
        delete: both are errors instead.
        """
        script = f"""
            cat {DAEMONS}; echo {END}; vtysh -c 'show daemons'; echo {END}
            /bin/sh {LIBRARY}/sections.sh {path} 2>/dev/null
            {RELOAD} --test {path} 2>{RUN}/test.log || status=$?
            echo {END}; vtysh -c 'show daemons'; echo {END}; cat {RUN}/test.log
            exit "${{status:-0}}\""""
        done = self._shell.root(script, timeout=COMPARING)
        wanted, before, text, after, log = (*done.text.split(f"{END}\n"), "", "", "", "")[:5]
        if done.status != 0 or "failed to process" in log:
            raise self._shell.failed("compare", Done(status=done.status, text=log or done.text))
        self._complete(wanted, set(before.split()) & set(after.split()))
        return text.strip("\n") + "\n" if text.strip() else ""

    def _complete(self, wanted: str, found: Set[str]) -> None:
        """See that all daemons run.

        Arguments:
            wanted: the text of /etc/frr/daemons.
            found: those that run.

        Raises:
            SwitchError: at least one does not.
        """
        named = re.findall(r"^(\w+)=(?:yes|\d+)\s*$", wanted, re.MULTILINE)
        daemons = {"zebra", "staticd", *named} - {"vtysh_enable"}
        missing = daemons - found
        if missing:
            raise SwitchError(
                f"{' and '.join(sorted(missing))} of {self._target.name} is down, so its part of "
                "the configuration is missing.",
                where=self._target.name,
                expected=f"{', '.join(sorted(daemons))}, as {DAEMONS} says",
                found=", ".join(sorted(daemons - missing)),
                remedy="journalctl -u frr; systemctl restart frr. Do not write the configuration",
            )

    def _send_tools(self) -> None:
        """See that the switch has the scripts that change it, and that go back."""
        for name in TOOLS:
            text = (Path(__file__).parent / f"frr_{name}").read_text()
            self._shell.session.put(f"{RUN}/inbox/{name}", text)
        script = f"""
            install -d -m 0700 {LIBRARY}; cd {LIBRARY}
            for name in {" ".join(TOOLS)}; do
              install -m 0700 "{RUN}/inbox/$name" ".$name"; cmp "{RUN}/inbox/$name" ".$name"
              mv ".$name" "$name"
            done"""
        self._shell.must(script, purpose="keep what goes back")

    def _inbox(self, name: str) -> str:
        """The path at which the switch takes a file from us; only we can write there."""
        if not self._welcome:
            script = f'install -d -m 0755 {RUN}; install -d -m 0700 -o "$SUDO_UID" {RUN}/inbox'
            self._shell.must(script, purpose="take a file")
            self._send_tools()
            self._welcome = True
        return f"{RUN}/inbox/{name}"

    def _put(self, candidate: str) -> None:
        files, text = linkfile.split(candidate)
        for path in files:
            if not re.fullmatch(linkfile.OURS, f"file {path}"):
                number = candidate.splitlines().index(f"file {path}") + 1
                raise names.refused(
                    self._target, number, path, "not one of the files that are ours"
                )
        self._shell.session.put(self._inbox("candidate.conf"), text)
        frr_links.put(self._shell, files)

    def _lock(self) -> None:
        """Hold the lock until the session ends, in whatever way.

        Raises:
            BusyError: another session of ours holds it, or an operator is at work at vtysh.
        """
        if not self._locked:
            self._inbox("")
            self._shell.must(f"touch {RUN}/lock", purpose="make a lock")
            done = self._shell.run(f"exec 9<{RUN}/lock && flock -n 9")
            if done.status != 0:
                holder = self._shell.root(f"cat {RUN}/holder").text.strip()
                raise names.busy(self._target, f"a session from {holder or 'somewhere'}")
            self._shell.must(f'echo "$1" >{RUN}/holder', self._origin(), purpose="say who we are")
            self._locked = True
        script = """
            ps -ww -C vtysh -o tty=,user=,args= | while read -r tty user args; do
              case "$tty $args" in "? "* | *" -c "* | *" -f "* | *" -m "*) continue ;; esac
              idle=$(($(date +%s) - $(stat -c %X "/dev/$tty" 2>/dev/null || echo 0)))
              echo "$user at /dev/$tty, who typed $idle seconds ago"
            done"""
        for line in self._shell.must(script, purpose="say who is at vtysh").splitlines():
            if int(line.split()[-3]) < AT_WORK:
                raise names.busy(self._target, line)

    def _origin(self) -> str:
        return self._shell.run('echo "$SSH_CONNECTION $(date -u +%FT%TZ)"').text.strip()

    def _refused(self, candidate: str, done: Done) -> CandidateError:
        """What `vtysh -C` said, of the first line: `line 13: % Unknown command[25]: ...`."""
        found = re.search(r"line (\d+): (.*)", done.text)
        lines = candidate.splitlines()
        number = int(found[1]) if found else 0
        line = lines[number - 1].strip() if 0 < number <= len(lines) else "some line"
        said = found[2].strip() if found else done.text.strip()[-300:]
        return names.refused(self._target, number, line, said)


def _checkpoint(name: str) -> str:
    """The file of a checkpoint on the switch."""
    return f"{LIBRARY}/checkpoints/{names.checked(name)}.conf"
