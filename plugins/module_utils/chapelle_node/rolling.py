"""The steps with a server that is taken out of service, restarted or patched, and taken back."""

from . import drain, packages, preflight, restart

STEPS = {
    "preflight": preflight.look,
    "drain": drain.drain,
    "patch": packages.upgrade,
    "reboot": restart.restart,
    "booted": restart.booted,
    "restore": drain.restore,
}
