"""What images are made of, and that the same parts make the same image."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from chapelle.drivers.image import ramdisk, recipe, store
from chapelle.drivers.image.job import Job
from chapelle.errors import ChapelleError, InputError
from chapelle.settings import ROOT, Settings

RECIPE = ROOT / "inventory/image.yml"
SOURCE = recipe.Archive(release="bookworm", sources=("deb http://archive main",), epoch=1000)


def test_the_image_holds_what_the_roles_install() -> None:
    """So that the first run of `provision` fetches nothing."""
    root = recipe.read(RECIPE).root
    have = {*root.system, *root.disks, *root.roles}
    wanted = set()
    for role in sorted((ROOT / "roles").iterdir()):
        for path in (role / "vars/main.yml", role / "defaults/main.yml"):
            values = yaml.safe_load(path.read_text()) if path.is_file() else {}
            state = values.get(f"{role.name}_state") or {}
            for found in (state.get("packages"), values.get(f"{role.name}_packages")):
                wanted |= set(found) if isinstance(found, list) else set()
    assert {"openssh-server", "lldpd", "chrony", "ca-certificates"} <= wanted
    assert wanted <= have


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("kept: 3", "kept: 0", "kept"),
        ("kept: 3", "kept: 3\nsurprise: 1", "surprise"),
        ("    - mdadm", "    - Mdadm; rm", "root.disks"),
        ("\narchive: null", "\narchive: {release: bookworm}", "archive"),
    ],
)
def test_a_mistake_in_the_recipe_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = tmp_path / "image.yml"
    path.write_text(RECIPE.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=named):
        recipe.read(path)


def test_a_name_follows_from_content_and_not_from_times(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "file").write_text("a")
    first = recipe.digest(SOURCE, part)
    os.utime(part / "file", (1, 1))
    assert recipe.digest(SOURCE, part) == first
    (part / "file").write_text("b")
    assert recipe.digest(SOURCE, part) != first


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio on this machine")
def test_the_same_tree_makes_the_same_archive(tmp_path: Path) -> None:
    archives = []
    for number, names in enumerate((("b", "a/c", "a/d"), ("a/d", "a/c", "b"))):
        tree = tmp_path / f"tree{number}"
        for name in names:  # made in another order, at another time
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(name)
            os.utime(tree / name, (number, number))
        (tree / "link").symlink_to("b")
        target = tmp_path / f"{number}.cpio"
        ramdisk.cpio(tree, target, epoch=1000)
        archives.append(target.read_bytes())
    assert archives[0] == archives[1]
    assert b"TRAILER!!!" in archives[0]


def test_the_ramdisk_takes_the_modules_named_and_no_others(tmp_path: Path) -> None:
    for name in ("drivers/net/a.ko", "drivers/sound/b.ko", "fs/mbcache.ko"):
        (tmp_path / "kernel" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kernel" / name).touch()
    ramdisk.keep_modules(tmp_path, ("drivers/net", "fs/mbcache.ko"))
    left = sorted(path.name for path in tmp_path.rglob("*.ko"))
    assert left == ["a.ko", "mbcache.ko"]
    with pytest.raises(ChapelleError, match="drivers/moved"):
        ramdisk.keep_modules(tmp_path, ("drivers/moved",))


def job(tmp_path: Path, kept: int) -> Job:
    settings = Settings.load({"CHAPELLE_STATE": str(tmp_path), "CHAPELLE_CACHE": str(tmp_path)})
    text = RECIPE.read_text().replace("kept: 3", f"kept: {kept}")
    path = tmp_path / "image.yml"
    path.write_text(text)
    return Job(settings=settings, recipe=recipe.read(path), source=SOURCE, say=lambda _line: None)


def make(folder: Path) -> store.Manifest:
    (folder / "file").write_text("content")
    return store.Manifest(
        kind="root",
        files={"file": store.Stored(sha256="0" * 64, size=7)},
        packages={},
        release="bookworm",
        sources=(),
        epoch=1,
        commit="c",
        kernel="",
    )


def test_an_image_is_made_once_and_old_ones_go(tmp_path: Path) -> None:
    wanted = job(tmp_path, 2)
    made = []

    def counted(folder: Path) -> store.Manifest:
        made.append(folder)
        return make(folder)

    for number, name in enumerate(("root-1", "root-2", "root-1", "root-3")):
        built = store.ensure(wanted, name, counted)
        os.utime(built.folder, (number, number))
    assert len(made) == 3
    assert sorted(path.name for path in store.home(wanted.settings).glob("root-*")) == [
        "root-1",
        "root-3",
    ]


def test_nothing_is_left_of_an_image_that_failed(tmp_path: Path) -> None:
    wanted = job(tmp_path, 2)

    def fail(folder: Path) -> store.Manifest:
        (folder / "half").touch()
        raise ChapelleError("no archive")

    with pytest.raises(ChapelleError, match="no archive"):
        store.ensure(wanted, "root-1", fail)
    assert [path.name for path in store.home(wanted.settings).iterdir()] == ["lock"]


def test_an_image_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    built = store.ensure(job(tmp_path, 2), "root-1", make)
    built.file("file").write_text("con")
    with pytest.raises(ChapelleError, match="damaged"):
        store.load(built.folder)
