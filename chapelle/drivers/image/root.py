"""The root image: what a server's root file system holds before it is anybody's.

A tar archive, compressed. Two builds from the same archive give the same bytes: mmdebstrap sorts
the files and clamps their times, and `finish.sh` removes what packages made of the moment or of
chance when they were installed.
"""

from pathlib import Path

from chapelle.drivers.image import making, recipe, store
from chapelle.drivers.image.job import Job

TAR = "root.tar.zst"
WHAT = "the root image"

HERE = Path(__file__).parent
OVERLAY = HERE / "overlay"
FINISH = HERE / "finish.sh"


def known(job: Job) -> store.Built | None:
    """The root image of a recipe, if the cache has it; nothing is made.

    Raises:
        ChapelleError: it is damaged.
    """
    return store.load(store.home(job.settings) / _name(job))


def ensure(job: Job, *, again: bool = False) -> store.Built:
    """The root image of a recipe, made first if there is none, or `again`.

    Raises:
        RefusedError: there is not enough space.
        ChapelleError: it cannot be made; the message names the log.
    """

    def make(folder: Path) -> store.Manifest:
        job.say(f"making {WHAT} ({job.source.release}); this takes some minutes")
        log = store.home(job.settings) / "root.log"
        tar = folder / "root.tar"
        # What a hook copies has the modes of this umask, whatever the clone's files have.
        lay = f'umask 022; cp -r --no-preserve=mode,ownership "{OVERLAY}/." "$1/"'
        finish = f'chroot "$1" /bin/sh -eu <"{FINISH}"'
        making.install(
            _packages(job), job.source, tar, log, job.say, what=WHAT,
            options=[
                "--variant=minbase", "--format=tar", *_left_out(job),
                f"--customize-hook={lay}", f"--customize-hook={finish}",
            ],
        )  # fmt: skip
        job.say(f"compressing {WHAT}")
        making.compress(tar, folder / TAR, log, what=WHAT)
        names = making.packages(folder)
        (folder / making.PACKAGES).unlink()
        return store.Manifest(
            kind="root",
            files={TAR: making.stored(folder / TAR)},
            packages=names,
            release=job.source.release,
            sources=job.source.sources,
            epoch=job.source.epoch,
            commit=making.commit(job.settings.root),
            kernel=making.kernel_of(names),
        )

    return store.ensure(job, _name(job), make, again=again)


def _packages(job: Job) -> list[str]:
    root = job.recipe.root
    return [*root.system, *root.disks, *root.roles]


def _left_out(job: Job) -> list[str]:
    # Packages of Debian 12 have them below /lib, later ones below /usr/lib.
    return [
        f"--dpkgopt=path-exclude={top}/modules/*/kernel/{name}/*"
        for name in job.recipe.root.modules_left_out
        for top in ("/lib", "/usr/lib")
    ]


# Another way of making it makes another one.
_MAKERS = (Path(__file__), Path(making.__file__))


def _name(job: Job) -> str:
    options = (making.OPTIONS, _left_out(job), making.LEVEL)
    parts = (*options, OVERLAY, FINISH, *_MAKERS)
    return f"root-{recipe.digest(job.source, tuple(_packages(job)), *parts)}"
