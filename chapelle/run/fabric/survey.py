"""A look at many switches at once: what runs on each, and what would change. Nothing is changed."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from chapelle.checks.fabric import Expected
from chapelle.drivers.switch.contract import SwitchError, Target
from chapelle.errors import ChapelleError
from chapelle.fabric import intent, links, ownership, platforms, render
from chapelle.fabric.switch import Switch as Intended
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.switch import Facts, Identity
from chapelle.run.fabric import expect, management, reach
from chapelle.run.fabric.compare import drift, require_serial
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.order import Connect
from chapelle.settings import Settings


class Gear(msgspec.Struct, frozen=True, kw_only=True):
    """A switch, all that it shall be, and how it is reached.

    `sections` are our own sections as they shall be, `path` is how it is managed, if NetBox says.
    `not_exercised` is what cannot be tried on it.
    """

    device: r.Device
    target: Target
    sections: str
    expected: Expected
    path: management.Path | None
    not_exercised: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The switch's name."""
        return self.target.name


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at a switch showed.

    Arguments:
        identity: who it is.
        running: what runs.
        diff: what would change, for people; `device_diff` in the device's own words.
        drift: what others changed in our sections since a run last left them.
        management: the lines of the diff that touch the path by which we manage it.
        facts: its state, if it was asked for.
        pending: the name of the checkpoint of a change that is not confirmed yet, if there is one.
    """

    identity: Identity
    running: str
    diff: str
    drift: str
    management: tuple[str, ...] = ()
    facts: Facts | None = None
    pending: str = ""


# What is said of a switch in the lab that is a container.
NO_LINKS = "links and VNIs: not there (a container has a plain bridge instead)"


def _overlaid(intended: Intended) -> bool:
    return any(vlan.overlay for vlan in intended.vlans) or bool(intended.vrfs)


def _sections(intended: Intended, *, links_too: bool) -> str:
    """Our sections; with those of the links where FRRouting does not make them itself."""
    has_links = links_too and intended.platform == platforms.FRR.slug
    return (links.text(intended) if has_links else "") + render.render(intended)


type Looks = dict[str, Look | ChapelleError]


def gears(
    settings: Settings, dc: Datacentre, devices: Iterable[r.Device], *, reachable: bool = True
) -> dict[str, Gear]:
    """What each switch shall be, by name.

    Arguments:
        settings: this installation.
        dc: the datacentre.
        devices: the switches.
        reachable: whether they are going to be talked to; if not, what their kernels lack is left
            aside.

    Raises:
        InputError: NetBox does not say enough of one of them.
        ChapelleError: a template is broken.
    """
    found = {}
    for device in devices:
        intended = intent.intent(dc, device)
        name = device.name or ""
        able = not reachable or reach.has_links(settings, name)
        found[name] = Gear(
            device=device,
            target=reach.target(settings, dc, device),
            sections=_sections(intended, links_too=able),
            expected=expect.expected(dc, device, intended, vnis=able),
            path=management.path_of(dc, device),
            not_exercised=() if able or not _overlaid(intended) else (NO_LINKS,),
        )
    return found


def look(gear: Gear, connect: Connect, store: Store, *, facts: bool = False) -> Look:
    """Look at one switch.

    Raises:
        ChapelleError: it cannot be reached, is another one, or does not answer as it should.
    """
    with connect(gear.target) as switch:
        identity = switch.identify()
        require_serial(gear.target, gear.expected.serial, identity)
        pending = switch.pending()
        running = switch.running()
        candidate = ownership.merge(gear.target.platform, running, gear.sections)
        diff = ownership.diff(gear.target.platform, running, candidate)
        own = ownership.owned(gear.target.platform, running)
        return Look(
            identity=identity,
            running=running,
            diff=diff,
            drift=drift(gear.target.platform, store, gear.name, own),
            management=management.touched(diff, gear.path),
            facts=switch.facts() if facts else None,
            pending=pending.checkpoint if pending else "",
        )


def survey(
    found: Mapping[str, Gear],
    connect: Connect,
    store: Store,
    *,
    forks: int,
    facts: bool = False,
    seen: Callable[[int], None] = lambda _: None,
) -> Looks:
    """Look at many switches, some at a time; an error stands in its switch's place.

    Arguments:
        found: the switches by name.
        connect: opens a session.
        store: what is known of switches.
        forks: how many at a time.
        facts: whether their state is asked for.
        seen: told how many have been looked at.
    """
    looks: Looks = {}

    def one(gear: Gear) -> Look | ChapelleError:
        try:
            return look(gear, connect, store, facts=facts)
        except ChapelleError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one odd answer must not hide all other switches
            return odd_answer(gear.name, gear.target.platform, error)

    with ThreadPoolExecutor(max_workers=forks) as pool:
        for name, result in zip(found, pool.map(one, found.values()), strict=True):
            looks[name] = result
            seen(len(looks))
    return looks


def odd_answer(name: str, platform: str, error: Exception) -> SwitchError:
    """What is said where a driver fails in a way that nobody has thought of."""
    return SwitchError(
        f"{name} answers what its driver does not understand.",
        where=f"device {name}, platform {platform}",
        expected="the answers of a version that docs/switch-platforms.md names",
        found=repr(error)[:300],
        remedy="compare its version with that list; leave it out with --limit",
    )
