from __future__ import annotations

DOCUMENTATION = """
module: chapelle_apply
short_description: Bring a host to the state that roles declare, all of them at once
description:
  - Applies packages, accounts, files, units, the firewall and the network of any number of roles
    in one execution on the host.
  - Everything is planned first. All files of all roles are staged and validated before the first is
    replaced, so an invalid file or a full disk leaves the host as it was.
  - Restarts that become due are written down on the host before a file is replaced. A run that is
    killed in between does not lose them.
  - Files of a role with O(roles.guard) go back by themselves unless this action reaches the host
    over a new connection.
  - With C(--tags) it does less. Tags are a role's name, or C(<role>_install),
    C(<role>_configure), C(<role>_run).
  - The action plugin of the same name does the controller's part; the code that runs on the host is
    C(plugins/module_utils/chapelle_node).
requirements:
  - Python 3.11 or later and systemd on the host
options:
  identity:
    description:
      - What is checked before anything is changed. V(name) and V(serial) of the machine by NetBox,
        V(free) MiB that must be free, V(skew) seconds that its clock may differ.
    type: dict
  roles:
    description:
      - State by role. The keys of a role's state are those below.
    type: dict
    required: true
    suboptions:
      packages:
        description: Names of Debian packages to be installed.
        type: list
        elements: str
      packages_absent:
        description: Names of Debian packages to be removed.
        type: list
        elements: str
      groups:
        description: Groups (V(name), V(system)); with V(members), exactly those.
        type: list
        elements: dict
      users:
        description: Users (V(name), V(comment), V(shell), V(system)).
        type: list
        elements: dict
      directories:
        description:
          - Directories (V(path), V(owner), V(group), V(mode)). In an V(exclusive) one, files that
            neither the role nor a package brought are removed, but for the names in V(kept).
        type: list
        elements: dict
      files:
        description:
          - Files (V(path), V(owner), V(group), V(mode)) with V(content), or with a V(template) of
            the role and V(vars) for it. V(validate) is a command in which C(%s) stands for the
            new file. The content of a V(sensitive) one is never shown.
        type: list
        elements: dict
      links:
        description: Symbolic links (V(path), V(target)).
        type: list
        elements: dict
      absent:
        description: Paths of files that must not be there.
        type: list
        elements: str
      hostname:
        description: The host's name.
        type: str
      units:
        description:
          - systemd units (V(name), V(enabled), V(state) started or stopped). They are restarted
            or reloaded when a path in V(restart_on) or V(reload_on), or below it, changes.
            One that does not start because of a condition in V(conditions), such as
            C(ConditionVirtualization=no), is not exercised; any other condition is a failure.
        type: list
        elements: dict
      commands:
        description: Commands (V(run)) for when a path in V(on), or below it, changes.
        type: list
        elements: dict
      ruleset:
        description: The nftables V(table) that the file V(path) of this role makes.
        type: dict
      guard:
        description:
          - The role's files go back after V(seconds) without confirmation, then the commands of
            V(undo) are run.
        type: dict
author:
  - Ville de Paris
attributes:
  check_mode:
    description: >-
      Says what would change, and validates new files from copies; changes nothing.
    support: full
  diff_mode:
    description: Returns what changed, or would change.
    support: full
"""

EXAMPLES = """
- name: Keep time
  chapelle_apply:
    roles:
      time:
        packages: [chrony]
        files:
          - path: /etc/chrony/chrony.conf
            template: chrony.conf.j2
            validate: [chronyd, -p, -f, "%s"]
        units:
          - name: chrony.service
            enabled: true
            state: started
            restart_on: [/etc/chrony/chrony.conf]
"""

RETURN = """
changes:
  description: What changed, or would change, as C(chapelle.model.outcome.Change) has it.
  returned: always
  type: list
  elements: dict
  sample: [{role: time, kind: unit, item: chrony.service, before: inactive, after: active}]
notes:
  description: What could not be validated or compared yet.
  returned: success
  type: list
  elements: str
not_exercised:
  description: Units that declared conditions keep from starting on this host.
  returned: success
  type: list
  elements: str
phase:
  description: Where it stopped (preflight, packages, accounts, validate, files, units, ...).
  returned: failure
  type: str
failure:
  description: The error's parts (message, role, item, expected, found, remedy).
  returned: failure
  type: dict
"""
