"""What people read of BMCs: what servers are made of, how they are set, who did not answer."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from chapelle.model.certificate import Certificate
from chapelle.model.finding import Finding
from chapelle.model.hardware import Hardware
from chapelle.report import content
from chapelle.report.text import Page, plural

_GIGABYTE = 10**9


class Failure(Protocol):
    """A BMC that did not do what was asked."""

    @property
    def host(self) -> str:
        """The name of its server."""

    @property
    def message(self) -> str:
        """Why."""

    @property
    def remedy(self) -> str:
        """What to do about it; empty where nobody knows."""


class Change(Protocol):
    """A setting that is not, or was not, as it is wanted."""

    @property
    def setting(self) -> str:
        """Its name."""

    @property
    def wanted(self) -> str:
        """What it should be."""

    @property
    def found(self) -> str | bool | int | None:
        """What it is, or was."""


def print_check(
    findings: Mapping[str, Sequence[Finding]], failed: Sequence[Failure], base: str
) -> None:
    """Print findings about servers, and whose BMC could not be asked."""
    page = Page(sys.stdout)
    found = [finding for each in findings.values() for finding in each]
    for line in content.finding_lines(found, base):
        page.line(line)
    wrong = sum(bool(each) for each in findings.values())
    page.line(f"{plural(len(findings), 'server')} looked at, findings on {wrong}")
    print_failures(page, failed)


def print_inventory(seen: Mapping[str, Hardware], failed: Sequence[Failure]) -> None:
    """Print what servers are made of, one line each."""
    page = Page(sys.stdout)
    rows = [
        (
            name,
            each.serial or "(none)",
            each.model,
            f"{each.processors} x {each.processor}",
            f"{each.memory} GiB",
            disks(each),
            " ".join(f"{what} {version}" for what, version in each.firmware.items()),
        )
        for name, each in seen.items()
    ]
    if rows:
        headers = ("host", "serial", "model", "processors", "memory", "disks", "firmware")
        page.table(headers, rows)
    print_failures(page, failed)


def disks(hardware: Hardware) -> str:
    """How many disks of which size, such as `2 x 480 GB, 12 x 12000 GB`."""
    sizes = [round(disk.size / _GIGABYTE) for disk in hardware.disks]
    return ", ".join(f"{sizes.count(size)} x {size} GB" for size in sorted(set(sizes)))


def print_settings(
    changes: Mapping[str, Sequence[Change]], failed: Sequence[Failure], *, done: bool
) -> None:
    """Print settings that differ, or that were changed, one line each."""
    page = Page(sys.stdout)
    rows = [
        (
            name,
            change.setting,
            change.wanted,
            "nothing" if change.found is None else f"{change.found}",
        )
        for name, each in changes.items()
        for change in each
    ]
    if rows:
        page.table(
            ("host", "setting", "set to" if done else "wanted", "was" if done else "is"), rows
        )
        page.line()
    wrong = sum(bool(each) for each in changes.values())
    what = "set and read back" if done else "to be set"
    page.line(
        f"{plural(len(rows), 'setting')} {what} on {wrong} of {plural(len(changes), 'server')}"
    )
    print_failures(page, failed)


def print_power(states: Mapping[str, tuple[str, bool]], failed: Sequence[Failure]) -> None:
    """Print the power of servers, one line each, and whether we changed it."""
    page = Page(sys.stdout)
    rows = [
        (name, state, "changed" if did else "unchanged") for name, (state, did) in states.items()
    ]
    if rows:
        page.table(("host", "power", "outcome"), rows)
    print_failures(page, failed)


def print_accounts(done: Mapping[str, bool], failed: Sequence[Failure]) -> None:
    """Print how many of our logins work, or were changed."""
    page = Page(sys.stdout)
    changed = sum(done.values())
    page.line(
        f"{plural(len(done), 'BMC')} can be logged in to, {plural(changed, 'password')} changed"
    )
    print_failures(page, failed)


def print_certificates(
    seen: Mapping[str, Certificate],
    findings: Mapping[str, Sequence[Finding]],
    failed: Sequence[Failure],
    base: str,
    renewed: int,
) -> None:
    """Print the certificates of BMCs, one line each, and what of them is not as it should be."""
    page = Page(sys.stdout)
    rows = [
        (
            name,
            each.subject or "(none)",
            " ".join(each.names),
            each.issuer,
            f"{each.days} days" if each.ends else "",
            "yes" if each.trusted else "no",
            "yes" if each.named else "no",
        )
        for name, each in seen.items()
    ]
    if rows:
        headers = ("host", "subject", "names", "issuer", "ends in", "by our authority", "for it")
        page.table(headers, rows)
        page.line()
    for line in content.finding_lines([f for each in findings.values() for f in each], base):
        page.line(line)
    wrong = sum(bool(each) for each in findings.values())
    page.line(
        f"{plural(len(seen), 'certificate')} looked at, findings on {wrong}, {renewed} renewed"
    )
    print_failures(page, failed)


def print_failures(page: Page, failed: Sequence[Failure]) -> None:
    """Print whose BMC failed, and why."""
    if not failed:
        return
    page.title(f"{plural(len(failed), 'server')} failed:")
    for failure in failed:
        page.line(f"  {failure.host}: {failure.message}", "bold red")
        if failure.remedy:
            page.line(f"      to do: {failure.remedy}")


def document(
    kind: str, snapshot: str, done: Mapping[str, Any], failed: Sequence[Failure]
) -> dict[str, Any]:
    """What came of it as plain data."""
    return {
        "kind": kind,
        "snapshot": snapshot,
        "hosts": {name: msgspec.to_builtins(value) for name, value in done.items()},
        "failed": {failure.host: failure.message for failure in failed},
    }
