"""An operator who brings tenants into a NetBox and lets them go, and tidies up after that."""

import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from chapelle.model.records import Content
from chapelle.model.tenancy import QUARANTINE
from chapelle.netbox import snapshot
from chapelle.netbox.access import Session, access, require
from chapelle.run.tenancy import offboard as leaving
from chapelle.run.tenancy import onboard as coming
from chapelle.run.tenancy import papers
from chapelle.settings import ROOT, Settings
from chapelle.tasks._terminal import Terminal

REQUEST = """
reference: {reference}
tenant:
  name: "{name}"
  slug: {slug}
  contacts:
    - {{name: Ann O'Nym, role: operations, email: ann@theatre.example}}
space: {{racks: {racks}, kw_per_rack: 3}}
held_until: {until}
networks:
  - {{name: stage}}
handoff: {{kind: {kind}}}
"""


def silent(_plan: object, _diffs: object) -> None:
    """Says yes."""


class Rig:
    """The NetBox, and the state directory of one operator."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.operator = Terminal(json=True, yes=True)

    def request(self, name: str = "theatre", **said: Any) -> Path:
        until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
        fields = {
            "reference": f"{name.upper()}-1", "name": f"{name.title()} de l'Île", "slug": name,
            "racks": 2, "until": until, "kind": "lacp", **said,
        }  # fmt: skip
        path = self.folder / f"{name}.yml"
        path.write_text(REQUEST.format(**fields))
        return path

    def order(self, path: Path, *racks: str) -> coming.Order:
        return coming.Order(request=path, racks=racks, fabric=False)

    def onboard(self, path: Path, *racks: str) -> coming.Outcome:
        return coming.onboard(self.settings, self.order(path, *racks), self.operator, silent)

    def undo(self, path: Path) -> coming.Outcome:
        return coming.undo(self.settings, self.order(path), self.operator, silent)

    def offboard(self, tenant: str) -> coming.Outcome:
        order = leaving.Order(tenant=tenant, fabric=False)
        return leaving.offboard(self.settings, order, self.operator, silent)

    def take_back(self, tenant: str) -> coming.Outcome:
        """Take a leaving back."""
        order = leaving.Order(tenant=tenant, fabric=False)
        return leaving.undo(self.settings, order, self.operator, silent)

    def content(self) -> Content:
        return snapshot.take(self.settings).snapshot.content

    def invoke(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip

    def kill_after(self, lines: int, *words: str) -> None:
        """Kill a command as soon as its run has written that many lines about NetBox."""
        tenant = "theatre"
        command = [sys.executable, "-m", "invoke", *words, "--yes", "--no-fabric"]
        with subprocess.Popen(
            command, cwd=ROOT, env=self.environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            while process.poll() is None and self._written(tenant) < lines:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
        assert papers.unfinished(self.settings, tenant) is not None

    def _written(self, tenant: str) -> int:
        left = papers.unfinished(self.settings, tenant)
        path = left.journal(papers.FREEZE) if left else None
        return path.read_bytes().count(b"\n") if path and path.exists() else 0

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CHAPELLE_STATE": str(self.settings.state),
            "CHAPELLE_CACHE": str(self.settings.cache),
        }


def forget(rig: Rig, before: Content) -> None:
    """Take out of NetBox what tenants leave behind that were not there before."""
    seeder = Session(access(rig.settings, "seed"))
    now = rig.content()
    url = f"{seeder.granted.url}/api"
    require(
        seeder.patch(
            f"{url}/dcim/sites/{now.sites[0].id}/", json={"custom_fields": {QUARANTINE: None}}
        ),
        200,
    )
    for name, path in (
        ("contact_assignments", "tenancy/contact-assignments"),
        ("contacts", "tenancy/contacts"),
        ("tenants", "tenancy/tenants"),
    ):
        known = {record.id for record in getattr(before, name)}
        for record in getattr(now, name):
            if record.id not in known:
                require(seeder.delete(f"{url}/{path}/{record.id}/"), 204)
