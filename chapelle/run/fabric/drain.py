"""Moving traffic away from a switch before it is changed, and back after: pure.

A router that is drained announces all its routes with the community GRACEFUL_SHUTDOWN (RFC 8326),
by which its neighbours prefer every other way. Nothing else changes.

| platform | how | source |
|---|---|---|
| frr | `bgp graceful-shutdown` in each `router bgp` | FRR documentation, "BGP", Graceful-Shutdown |
| cisco_nxos | `graceful-shutdown activate` in `router bgp` | NX-OS Unicast Guide, "Advanced BGP" |
| arista_eos | not with one line | EOS User Manual, "Maintenance Mode": a workflow of its own |
"""

import re

_LINES = {"frr": " bgp graceful-shutdown", "cisco_nxos": "  graceful-shutdown activate"}
_ROUTER = re.compile(r"^router bgp \S.*$")


def drained(platform: str, configuration: str) -> str | None:
    """The configuration with its BGP drained; None when that is not possible, or it is already."""
    line = _LINES.get(platform)
    if line is None:
        return None
    lines = configuration.splitlines()
    if line in lines:
        return None
    made = []
    for each in lines:
        made.append(each)
        if _ROUTER.match(each):
            made.append(line)
    return "\n".join(made) + "\n" if len(made) > len(lines) else None


def why_not(platform: str, configuration: str) -> str:
    """Why `drained` gave nothing, in words."""
    line = _LINES.get(platform)
    if line is None:
        return f"platform {platform} has no one line for it"
    if line in configuration.splitlines():
        return "it is drained already"
    return "it runs no BGP"
