"""What orders are made of beside NetBox, brought together: files, images, keys."""

from collections.abc import Iterable
from types import ModuleType

from chapelle.drivers import image
from chapelle.drivers.bmc import quirks
from chapelle.drivers.image import Built, ramdisk, root
from chapelle.errors import InputError, RefusedError
from chapelle.lab import spec
from chapelle.model import records as r
from chapelle.model.boot import BootFile
from chapelle.model.datacentre import Datacentre
from chapelle.model.hardware import QUIRKS
from chapelle.model.outcome import DEPLOY_STEPS
from chapelle.plan import storage
from chapelle.plan.deploy import policy
from chapelle.plan.deploy.order import Ground
from chapelle.plan.plan import Plan
from chapelle.run.deploy import site
from chapelle.run.prepare import Say
from chapelle.settings import Settings

_STORAGE = "inventory/storage.yml"


def ground(
    settings: Settings, dc: Datacentre, devices: Iterable[r.Device], say: Say, *, make: bool
) -> Ground | None:
    """What servers are made of that are begun at their BMC; None if none of these can be.

    In the lab that are its machines with firmware and disks; on a site all, when it says from where
    they are brought up.

    Arguments:
        settings: this installation.
        dc: the datacentre.
        devices: the servers in question.
        say: told of what takes long.
        make: images that the cache does not have are made.

    Raises:
        InputError: a file has mistakes, or says too little.
        RefusedError: there is no image, and none is to be made.
        ChapelleError: an image cannot be made.
    """
    names = {device.name or "" for device in devices if device.oob_ip}
    if settings.target == "lab":
        names &= site.machines(settings)
    elif settings.deploy is None:
        return None
    if not names:
        return None
    said = policy.read(settings.root / policy.FILE)
    job = image.job(settings, say)
    system, booted = (_image(job, kind, make=make) for kind in (root, ramdisk))
    _, prints = tang(settings, dc)
    return Ground(
        hosts=frozenset(names),
        policy=said,
        storage=storage.read(settings.root / _STORAGE),
        quirks=quirks.read(settings.root / QUIRKS),
        thumbprints=prints,
        root=_file(system, root.TAR),
        root_size=system.manifest.files[root.TAR].size,
        kernel=_file(booted, ramdisk.KERNEL),
        initrd=_file(booted, ramdisk.INITRAMFS),
        user_authority=site.signer(settings).user_authority.decode(),
        # Machines of the lab are plugged into its hub, which no switch speaks through.
        lldp_seconds=0 if settings.target == "lab" else 35,
    )


def tang(settings: Settings, dc: Datacentre) -> tuple[policy.Encryption, dict[str, str]]:
    """How disks are opened, and the thumbprints of the Tang servers by address.

    Raises:
        InputError: the file has mistakes.
    """
    said = policy.read(settings.root / policy.FILE).encryption
    servers = spec.services(dc).tang if settings.target == "lab" else ()
    return said, site.thumbprints(settings, said.thumbprints, servers)


def require_all(settings: Settings, devices: Iterable[r.Device], found: Ground | None) -> None:
    """Make sure that each of these servers can be begun at its BMC.

    Raises:
        InputError: some cannot; they are named.
    """
    hosts = found.hosts if found else frozenset()
    names = sorted((device.name or "") for device in devices if device.name not in hosts)
    if not names:
        return
    lab_says = "machines of the lab, with firmware and disks, and an address of their BMC in NetBox"
    site_says = f"an address of their BMC in NetBox, and a file that {site.VARIABLE} names"
    raise InputError(
        "Servers cannot be booted from the network, so nothing can be done to their disks.",
        where=", ".join(names[:10]),
        expected=lab_says if settings.target == "lab" else site_says,
        found=f"{len(names)} others",
        remedy=f"invoke lab.up --machines={names[0]}"
        if settings.target == "lab"
        else "docs/bare-metal.md",
    )


def of_plan(
    settings: Settings, dc: Datacentre, plan: Plan, say: Say, *, make: bool
) -> Ground | None:
    """What the hosts of a plan are made of that it begins at their BMC; None if there are none.

    Raises:
        InputError: a file has mistakes, or says too little.
        RefusedError: there is no image, and none is to be made.
        ChapelleError: an image cannot be made.
    """
    bare = [host.name for host in plan.hosts if DEPLOY_STEPS[0] in host.steps]
    known = [dc.devices_by_name[name] for name in bare if name in dc.devices_by_name]
    return ground(settings, dc, known, say, make=make) if known else None


def _image(job: image.Job, kind: ModuleType, *, make: bool) -> Built:
    found: Built | None = kind.ensure(job) if make else kind.known(job)
    if found is None:
        raise RefusedError(
            "There is no image that servers could be installed from, and a plan makes none.",
            where=str(job.settings.cache / "images"),
            expected=f"{kind.WHAT} of inventory/image.yml",
            found="none",
            remedy="invoke image.build",
        )
    return found


def _file(built: Built, name: str) -> BootFile:
    return BootFile(path=built.file(name), sha256=built.manifest.files[name].sha256)
