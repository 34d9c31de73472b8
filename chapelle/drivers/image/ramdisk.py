"""The ramdisk: a kernel, and an initramfs with the installer in it.

The initramfs is two cpio archives, one behind the other, as the kernel takes them: what packages
bring, which takes minutes to make and is kept, and the installer itself. Source: Linux,
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from chapelle import __version__, archive
from chapelle.drivers.image import making, recipe, store
from chapelle.drivers.image.job import Job
from chapelle.errors import ChapelleError

KERNEL = "vmlinuz"
INITRAMFS = "initrd.img"
WHAT = "the ramdisk"

_BASE = "base.cpio.zst"

HERE = Path(__file__).parent
INIT = HERE / "init.sh"
INSTALLER = HERE.parent.parent / "installer"

# In the ramdisk: the installer as the package that it is here, without anything else of ours.
_PYTHON = Path("usr/lib/chapelle")

# What a ramdisk in memory has no use for. md arrays are assembled by the installer alone, never by
# udev as soon as a disk is seen. /var/cache/cracklib stays: clevis makes its keys by it.
_LEFT_OUT = (
    "boot", "var/cache/apt", "var/cache/debconf", "var/lib/apt", "var/lib/dpkg/info", "var/log",
    "usr/share/doc", "usr/share/zoneinfo", "usr/share/bash-completion", "usr/share/initramfs-tools",
    "usr/share/misc", "usr/share/perl", "usr/share/perl5", "usr/share/snmp", "usr/lib/klibc",
    "usr/lib/x86_64-linux-gnu/perl", "usr/lib/x86_64-linux-gnu/perl5",
    "usr/lib/x86_64-linux-gnu/perl-base", "usr/lib/udev/hwdb.d",
    "usr/lib/udev/rules.d/64-md-raid-assembly.rules",
    "usr/lib/systemd/system",
)  # fmt: skip


def known(job: Job) -> store.Built | None:
    """The ramdisk of a recipe with this clone's installer, if the cache has it; nothing is made.

    Raises:
        ChapelleError: it is damaged.
    """
    return store.load(store.home(job.settings) / _name(job))


def ensure(job: Job, *, again: bool = False) -> store.Built:
    """The ramdisk of a recipe with the installer of this clone, made first if there is none.

    Raises:
        RefusedError: there is not enough space.
        ChapelleError: it cannot be made; the message names the log.
    """
    base = _base(job, again=again)

    def make(folder: Path) -> store.Manifest:
        tree = folder / "tree"
        _lay_installer(tree)
        cpio(tree, folder / "installer.cpio", base.manifest.epoch)
        shutil.rmtree(tree)
        shutil.copyfile(base.file(KERNEL), folder / KERNEL)
        with (folder / INITRAMFS).open("wb") as out:
            for part in (base.file(_BASE), folder / "installer.cpio"):
                with part.open("rb") as file:
                    shutil.copyfileobj(file, out)
                out.write(b"\0" * (-out.tell() % 4))
        (folder / "installer.cpio").unlink()
        return msgspec.structs.replace(
            base.manifest,
            kind="ramdisk",
            files={name: making.stored(folder / name) for name in (KERNEL, INITRAMFS)},
            commit=making.commit(job.settings.root),
        )

    return store.ensure(job, _name(job), make, again=again)


def _base(job: Job, *, again: bool) -> store.Built:

    def make(folder: Path) -> store.Manifest:
        job.say(f"making {WHAT} ({job.source.release}); this takes some minutes")
        log = store.home(job.settings) / "ramdisk.log"
        tree = folder / "tree"
        making.install(
            job.recipe.ramdisk.packages, job.source, tree, log, job.say, what=WHAT,
            options=["--variant=essential", "--format=directory"],
        )  # fmt: skip
        names = making.packages(folder)
        kernel = making.kernel_of(names)
        shutil.copyfile(tree / f"boot/vmlinuz-{kernel}", folder / KERNEL)
        keep_modules(tree / "usr/lib/modules" / kernel, job.recipe.ramdisk.modules)
        archive.logged(["chroot", str(tree), "depmod", kernel], log, what=WHAT)
        for left_out in _LEFT_OUT:
            _remove(tree / left_out)
        for cache in list(tree.rglob("__pycache__")):
            shutil.rmtree(cache)
        for path in (
            *tree.glob("etc/ssh/ssh_host_*"),
            *tree.glob("etc/nvme/host*"),
            tree / "etc/machine-id",
        ):
            _remove(path)
        job.say(f"compressing {WHAT}")
        cpio(tree, folder / "base.cpio", job.source.epoch)
        shutil.rmtree(tree)
        making.compress(folder / "base.cpio", folder / _BASE, log, what=WHAT)
        (folder / making.PACKAGES).unlink()
        return store.Manifest(
            kind="base",
            files={name: making.stored(folder / name) for name in (KERNEL, _BASE)},
            packages=names,
            release=job.source.release,
            sources=job.source.sources,
            epoch=job.source.epoch,
            commit=making.commit(job.settings.root),
            kernel=kernel,
        )

    return store.ensure(job, _base_name(job), make, again=again)


# Another way of making it makes another one.
_MAKERS = (Path(__file__), Path(making.__file__))


def _name(job: Job) -> str:
    return f"ramdisk-{recipe.digest(_base_name(job), INIT, INSTALLER)}"


def _base_name(job: Job) -> str:
    options = (making.OPTIONS, making.LEVEL, _LEFT_OUT)
    return f"base-{recipe.digest(job.source, job.recipe.ramdisk, *options, *_MAKERS)}"


def _lay_installer(tree: Path) -> None:
    package = tree / _PYTHON / "chapelle"
    shutil.copytree(INSTALLER, package / "installer", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text(f'__version__ = "{__version__}"\n')
    shutil.copyfile(INIT, tree / "init")
    for path in tree.rglob("*"):
        path.chmod(0o644 if path.suffix == ".py" else 0o755)
    tree.chmod(0o755)


def keep_modules(modules: Path, kept: tuple[str, ...]) -> None:
    """Remove all kernel modules but those below the directories (or files) named.

    Raises:
        ChapelleError: one of those does not exist: the kernel has moved it.
    """
    kernel = modules / "kernel"
    missing = [name for name in kept if not (kernel / name).exists()]
    if missing:
        raise ChapelleError(
            "The ramdisk would lack drivers: the kernel keeps its modules elsewhere.",
            where="ramdisk.modules in inventory/image.yml",
            expected="directories or files below lib/modules/VERSION/kernel",
            found=f"none of the name {', '.join(missing)}",
        )
    wanted = [Path(name) for name in kept]
    for path in kernel.rglob("*"):
        relative = path.relative_to(kernel)
        if path.is_file() and not any(relative.is_relative_to(name) for name in wanted):
            path.unlink()


def cpio(tree: Path, target: Path, epoch: int) -> None:
    """Write a directory as a cpio archive in the kernel's format, the same for the same content.

    Raises:
        ChapelleError: it failed.
    """
    found = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    for name in found:
        os.utime(tree / name, (epoch, epoch), follow_symlinks=False)
    names = "\0".join(found).encode()
    command = ["cpio", "--quiet", "--null", "--create", "--format=newc", "--reproducible",
               "--owner=+0:+0"]  # fmt: skip
    with target.open("wb") as out:
        result = subprocess.run(
            command, input=names, stdout=out, stderr=subprocess.PIPE, cwd=tree, check=False
        )
    if result.returncode != 0:
        raise ChapelleError(
            "The ramdisk could not be made.",
            where="cpio",
            expected="exit status 0",
            found=result.stderr.decode(errors="replace").strip(),
        )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
