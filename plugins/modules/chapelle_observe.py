from __future__ import annotations

DOCUMENTATION = """
module: chapelle_observe
short_description: Compare what a host is with what is expected of it
description:
  - Looks at addresses, links, routes, units, listening sockets, the clock, the host certificate,
    sshd's options, the firewall and the host's facts, and compares them with what the roles expect.
  - Changes nothing but for O(restore). Fails when there are differences, but not in check mode.
  - The action plugin of the same name does the controller's part; the comparison is
    C(chapelle.checks.host).
options:
  expect:
    description: Expectations by role; each role's C(<role>_expect).
    type: dict
    required: true
  restore:
    description:
      - Whether a host that a run took out of service and did not bring back is taken back into
        service when it is as expected, by the hooks in C(/etc/chapelle/drain.d). In check mode that
        it is out of service is a difference.
    type: bool
    default: false
author:
  - Ville de Paris
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
"""

EXAMPLES = """
- name: Compare the clock
  chapelle_observe:
    expect:
      time: {servers: [10.64.0.11], wait: 20, units: [chrony.service]}
"""

RETURN = """
observed:
  description: What the host is; C(observed.facts) are what NetBox is told.
  returned: success
  type: dict
differences:
  description: Where it is not as expected, as C(chapelle.model.outcome.Difference) has it.
  returned: success
  type: list
  elements: dict
  sample: [{area: units, item: chrony.service, expected: active, found: inactive}]
not_exercised:
  description: What was intended and cannot be tried on this host.
  returned: success
  type: list
  elements: str
"""
