"""Opens sessions with switches: the platform's driver, and a transcript of all that is said."""

from contextlib import AbstractContextManager

from chapelle.drivers.switch.contract import Switch, Target
from chapelle.drivers.switch.registry import open_switch
from chapelle.lab import ca
from chapelle.run.fabric.order import Connect
from chapelle.settings import Settings


def connecting(settings: Settings) -> Connect:
    """What opens a session; with target lab, our certificate is renewed first if it is old."""
    transcripts = settings.state / "fabric" / "transcripts"
    if settings.target == "lab":
        ca.renew_user_certificate(settings)

    def connect(target: Target) -> AbstractContextManager[Switch]:
        return open_switch(target, transcripts)

    return connect
