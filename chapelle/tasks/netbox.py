"""Tasks of netbox: `up`, `down`, `status`, `reset`, `seed`."""

from chapelle.errors import ExitCode
from chapelle.netbox import server, snapshot
from chapelle.settings import Settings
from chapelle.tasks._command import command, confirm
from chapelle.tasks.seed import seed

__all__ = ["down", "reset", "seed", "status", "up"]


@command()
def up(_context: object) -> None:
    """Bring the embedded NetBox up, whatever state it was left in."""
    server.up(Settings.load(), print)


@command()
def down(_context: object) -> None:
    """Stop the embedded NetBox; its content stays."""
    server.down(Settings.load(), print)


@command()
def status(_context: object) -> ExitCode:
    """Say whether NetBox answers, and of ours which of its processes run (exit 1: it is down)."""
    settings = Settings.load()
    if settings.netbox_url:
        version = snapshot.version(settings)
        print(f"NetBox {version}: up at {settings.netbox_url}, which is not ours to start or stop")
        return ExitCode.OK
    found = server.status(settings)
    print(f"NetBox {found.version}: {'up at ' + str(found.url) if found.answering else 'down'}")
    for name, pid in found.processes.items():
        print(f"  {name:<10}{'process ' + str(pid) if pid else 'not running'}")
    print(f"  {'kept in':<10}{found.home}")
    print(f"  {'admin':<10}password in {found.password}")
    return ExitCode.OK if found.answering else ExitCode.FAILED


@command(help={"yes": "do not ask"})
def reset(_context: object, yes: bool = False) -> None:
    """Remove the embedded NetBox's database and secrets, so that the next `up` begins anew."""
    settings = Settings.load()
    if not yes:
        confirm(f"Remove NetBox's database below {settings.state / 'netbox'}?")
    server.reset(settings, print)
