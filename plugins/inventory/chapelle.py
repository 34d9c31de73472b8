from __future__ import annotations

DOCUMENTATION = """
name: chapelle
short_description: The servers of the datacentre, from a snapshot of NetBox
description:
  - Makes a host of every server that NetBox knows, with the groups C(aisle_2), C(rack_a2_r01),
    C(role_compute), C(tenant_ville_de_paris), C(platform_debian_12) and C(platform_debian),
    C(status_active), C(leafs_leaf_a2_1) and C(feed_a2_r01_a).
  - Reads a snapshot file and does not talk to NetBox, unless the latest snapshot is missing or old.
    Then a new one is taken, as C(invoke snapshot.take) does.
  - Devices that the filters leave out never become hosts, so that a small selection is fast however
    large the datacentre is.
  - A server of which NetBox says too little to reach it is left out with a warning;
    C(invoke check) says what is missing.
requirements:
  - the package C(chapelle) of the repository that this plugin is part of
extends_documentation_fragment:
  - constructed
options:
  plugin:
    description: Marks a file as this plugin's.
    type: str
    required: true
    choices: [chapelle]
  snapshot:
    description:
      - Snapshot file to read. It is read as it is, however old.
      - By default the latest one in the state directory (E(CHAPELLE_STATE)) is used.
    type: path
    env:
      - name: CHAPELLE_SNAPSHOT
  max_age:
    description:
      - Age in seconds past which the latest snapshot is taken again.
      - When that fails, the old one is used with a warning that says its age.
      - With V(-1) the latest snapshot is used however old it is.
    type: int
    default: 60
    env:
      - name: CHAPELLE_MAX_AGE
  aisles:
    description: Numbers of the aisles whose devices become hosts; all when empty.
    type: list
    elements: str
    default: []
    env:
      - name: CHAPELLE_AISLES
  racks:
    description: Names of the racks whose devices become hosts; all when empty.
    type: list
    elements: str
    default: []
    env:
      - name: CHAPELLE_RACKS
  hosts:
    description: Names (or shell patterns) of the devices that become hosts; all when empty.
    type: list
    elements: str
    default: []
    env:
      - name: CHAPELLE_HOSTS
  statuses:
    description: NetBox statuses of the devices that become hosts; all when empty.
    type: list
    elements: str
    default: []
  include_switches:
    description: Whether network switches become hosts, too.
    type: bool
    default: false
"""

EXAMPLES = """
---
# inventory/chapelle.yml: everything
plugin: chapelle
---
# active database servers of two aisles, grouped by the first letter of their serial number as well
plugin: chapelle
aisles: [1, 2]
hosts: [database-*]
statuses: [active]
strict: true
keyed_groups:
  - prefix: serial
    key: netbox_serial[:1]
compose:
  monitoring_name: inventory_hostname ~ '.' ~ netbox_aisle
groups:
  upper_half: (netbox_position or 0) > 21
"""

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:  # Ansible starts from its own folder, whatever the working directory
    sys.path.insert(0, ROOT)

from chapelle.errors import ChapelleError, InputError
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot
from chapelle.plan.inventory import Filter, Host, host, select
from chapelle.run.reach import reach
from chapelle.settings import Settings


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Entry point; what hosts are made, and of what, is decided in chapelle.plan.inventory."""

    NAME = "chapelle"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("chapelle.yml", "chapelle.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            self._parse(Settings.load())
        except ChapelleError as error:
            raise AnsibleParserError(str(error)) from None  # the cause would be printed twice

    def _parse(self, settings: Settings) -> None:
        dc = Datacentre(self._snapshot(settings))
        way = reach(settings)
        for device in select(dc, self._filter()):
            try:
                made = host(dc, device, way)
            except InputError as error:
                self.display.warning(f"{device.name} is left out of the inventory. {error}")
                continue
            self._add(made)

    def _filter(self) -> Filter:
        def texts(option: str) -> tuple[str, ...]:
            return tuple(str(item) for item in self.get_option(option) or ())

        return Filter(
            aisles=texts("aisles"),
            racks=texts("racks"),
            hosts=texts("hosts"),
            statuses=texts("statuses"),
            switches=self.get_option("include_switches"),
        )

    def _snapshot(self, settings: Settings) -> Snapshot:
        if path := self.get_option("snapshot"):
            return Snapshot.read(Path(path))
        from chapelle.netbox import snapshot  # noqa: PLC0415 - only who needs NetBox waits for it

        max_age = self.get_option("max_age")
        latest = snapshot.latest(settings)
        if latest and (max_age < 0 or latest.age <= max_age):
            return latest.snapshot
        try:
            return snapshot.take(settings).snapshot
        except ChapelleError as error:
            if latest is None:
                raise
            self.display.warning(
                f"No new snapshot could be taken; the one of {latest.age / 60:.0f} minutes ago "
                f"is used. {error}"
            )
            return latest.snapshot

    def _add(self, made: Host) -> None:
        inventory = self.inventory
        inventory.add_host(made.name)
        for group in made.groups:
            inventory.add_child(inventory.add_group(group), made.name)
        for name, value in made.variables.items():
            inventory.set_variable(made.name, name, value)
        strict = self.get_option("strict")
        if compose := self.get_option("compose"):
            variables = inventory.get_host(made.name).get_vars()
            self._set_composite_vars(compose, variables, made.name, strict=strict)
        variables = inventory.get_host(made.name).get_vars()
        self._add_host_to_composed_groups(
            self.get_option("groups"), variables, made.name, strict=strict, fetch_hostvars=False
        )
        self._add_host_to_keyed_groups(
            self.get_option("keyed_groups"),
            variables,
            made.name,
            strict=strict,
            fetch_hostvars=False,
        )
