from __future__ import annotations

DOCUMENTATION = """
module: chapelle_roll
short_description: Take one step with a server that is restarted or patched
description:
  - The steps of C(invoke reboot) and C(invoke patch) that C(chapelle_observe) does not take.
  - The action plugin of the same name does the controller's part; the code that runs on the host is
    C(plugins/module_utils/chapelle_node).
requirements:
  - Python 3.11 or later and systemd on the host
options:
  step:
    description:
      - V(preflight) checks O(identity), and with O(patch) has apt read its lists anew.
      - V(drain) and V(restore) run the executables in C(/etc/chapelle/drain.d) with that word.
      - V(patch) upgrades all packages and keeps configuration files as they are.
      - V(reboot) restarts the host, with O(patch) only if a package asks for it, and waits until it
        answers from another boot. A host that is not in the boot O(boot_id) has restarted already.
    type: str
    choices: [preflight, drain, patch, reboot, restore]
    required: true
  run:
    description: The run's id. A run that is gone on with has the same.
    type: str
  patch:
    description: Whether packages are upgraded in this run.
    type: bool
    default: false
  identity:
    description: As in C(chapelle_apply).
    type: dict
  seconds:
    description: The most that each hook, or the restart, may take.
    type: int
  boot_id:
    description: The boot that the host was in when the run came to it (random(4)).
    type: str
  resumed:
    description: Whether it may have been told to restart before, so that it need not answer yet.
    type: bool
    default: false
author:
  - Ville de Paris
attributes:
  check_mode:
    description: Says what would be done; changes nothing, and reads no lists anew.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
"""

EXAMPLES = """
- name: Run the drain hooks
  chapelle_roll:
    step: drain
    run: 20260727T101500-1a2b
    seconds: 300
"""

RETURN = """
changes:
  description: What changed, or would change, as C(chapelle.model.outcome.Change) has it.
  returned: when something did
  type: list
  elements: dict
  sample: [{role: patch, kind: package, item: bash, before: 5.2.15-2, after: 5.2.15-2+deb12u1}]
boot_id:
  description: The boot that the host is in.
  returned: by V(preflight) and V(reboot)
  type: str
message:
  description: What there is to say of the step when all went well.
  returned: when there is something to say
  type: str
ended:
  description: The step, when it is at its end.
  returned: success
  type: str
"""
