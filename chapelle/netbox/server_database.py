"""NetBox's database: restored from a cached dump, or migrated from nothing, once.

It is filled, and later upgraded, under another name and renamed when complete, so a database called
`netbox` is always whole. Its comment names the version of NetBox whose schema it has.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import monotonic

from chapelle import files
from chapelle.errors import ChapelleError, RefusedError
from chapelle.netbox import server_postgres as postgres
from chapelle.netbox import server_web as web
from chapelle.netbox.server_layout import Layout, Say
from chapelle.netbox.server_process import environment, tail

NAME = "netbox"
FRESH = "netbox_fresh"
FORMER = "netbox_former"
VERSION_OF_DATABASE = """\
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'netbox'"""
_APPLYING = re.compile(r"^\s+Applying (\S+)\.\.\.")


# What a dump of a seeded database leaves out: whoever restores it has users and tokens of their
# own, and neither the change log nor sessions of another.
PERSONAL = ("users_*", "account_*", "core_objectchange", "core_job", "django_session")


def prepare(layout: Layout, venv: Path, version: str, say: Say, design: str | None = None) -> None:
    """Make sure that there is a whole database with the schema of this version.

    Where there is no database yet and `design` names a design whose seeded database is in the
    cache, that one is restored.

    Raises:
        ChapelleError: a migration failed, or the disk is full.
        RefusedError: the database is of a newer NetBox.
    """
    names = postgres.sql(layout, "SELECT datname FROM pg_database").splitlines()
    if FRESH in names:
        say("a half-made database is there from before: dropping it")
    for left_over in {FRESH, FORMER}.intersection(names):
        _drop(layout, left_over)
    if NAME in names:
        _upgrade(layout, venv, version, say)
        return
    _need_space(layout.home, 300)
    dump = cached_dump(layout, version)
    if design and (seeded := seeded_dump(layout, version, design)).exists():
        say("restoring NetBox with this design in it from the cache")
        if _restored(layout, seeded, say):
            _finish(layout, version)
            return
    if not dump.exists():
        waiting = "waiting: NetBox is being migrated elsewhere"
        with files.locked(dump.with_suffix(".lock"), lambda: say(waiting)):
            if not dump.exists():
                _create(layout)
                _migrate(layout, venv, FRESH, say)
                _dump(layout, FRESH, dump)
                _finish(layout, version)
                return
    say("restoring NetBox's empty database from the cache")
    if not _restored(layout, dump, say):
        _create(layout)
        _migrate(layout, venv, FRESH, say)
        _dump(layout, FRESH, dump)
    _finish(layout, version)


def keep_seeded(layout: Layout, version: str, design: str) -> None:
    """Keep the database as it is now in the cache, as what the seeding of that design makes."""
    dump = seeded_dump(layout, version, design)
    _dump(layout, NAME, dump, *(f"--exclude-table-data={table}" for table in PERSONAL))
    for older in layout.cache.glob(f"{version}-pg{postgres.major(layout)}-*.dump"):
        if older != dump:
            older.unlink(missing_ok=True)


def seeded_dump(layout: Layout, version: str, design: str) -> Path:
    """Where the database that the seeding of a design made is kept."""
    return layout.cache / f"{version}-pg{postgres.major(layout)}-{design}.dump"


def cached_dump(layout: Layout, version: str) -> Path:
    """Where the empty database of this version of NetBox and PostgreSQL is kept."""
    return layout.cache / f"{version}-pg{postgres.major(layout)}.dump"


def _create(layout: Layout) -> None:
    postgres.sql(layout, f"CREATE DATABASE {FRESH} TEMPLATE template0")


def _drop(layout: Layout, database: str) -> None:
    postgres.sql(layout, f"DROP DATABASE {database} WITH (FORCE)")


def _finish(layout: Layout, version: str) -> None:
    postgres.sql(layout, f"COMMENT ON DATABASE {FRESH} IS '{version}'")
    postgres.sql(layout, f"ALTER DATABASE {FRESH} RENAME TO {NAME}")


def _need_space(directory: Path, mebibytes: int) -> None:
    files.require_space(directory, mebibytes * files.MIB, "NetBox's database")


def _restored(layout: Layout, dump: Path, say: Say) -> bool:
    """Fill a new database from a dump. A dump that is no good is put aside: False."""
    _create(layout)
    try:
        postgres.run(
            layout, "pg_restore", "-j2", "--no-owner", "--exit-on-error", "-d", FRESH, dump
        )
    except ChapelleError as error:
        _need_space(layout.home, 300)
        spoiled = dump.with_suffix(".bad")
        say(f"the cached dump is unusable (now {spoiled.name}): {error.found}")
        dump.replace(spoiled)
        _drop(layout, FRESH)
        return False
    return True


def _dump(layout: Layout, database: str, path: Path, *more: str) -> None:
    """Write a dump at one stroke. What is kept in the cache holds no user and no secret."""
    _need_space(path.parent, 50)
    part = path.with_suffix(f".part-{layout.sockets.name}")
    options: list[str | Path] = [
        "-Fc",
        "-Z1",
        "--no-owner",
        "--no-privileges",
        "-f",
        part,
        "-d",
        database,
        *more,
    ]
    try:
        postgres.run(layout, "pg_dump", *options)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _upgrade(layout: Layout, venv: Path, version: str, say: Say) -> None:
    """Migrate a copy of an older NetBox's database and let it take the other's place.

    Until then the older one is as it was, so whatever ends this can be followed by another try.
    """
    found = postgres.sql(layout, VERSION_OF_DATABASE)
    if found == version:
        return
    if _numbers(found) > _numbers(version):
        raise RefusedError(
            "The database is of a newer NetBox than this one.",
            where=str(layout.data),
            expected=f"NetBox {version} or older",
            found=f"NetBox {found}",
            remedy="check out the newer commit again, or begin anew with `invoke netbox.reset`",
        )
    backup = layout.home / f"before-{version}.dump"
    say(f"NetBox {found} becomes {version}; the database is saved in {backup}")
    web.shut_down(layout)  # it is of the older NetBox, and a database in use cannot be copied
    size = int(postgres.sql(layout, f"SELECT pg_database_size('{NAME}')"))
    _need_space(layout.home, 300 + 2 * size // files.MIB)
    _dump(layout, NAME, backup)
    postgres.sql(layout, f"CREATE DATABASE {FRESH} TEMPLATE {NAME}")
    _migrate(layout, venv, FRESH, say)
    postgres.sql(layout, f"COMMENT ON DATABASE {FRESH} IS '{version}'")
    # Two statements of one call are one transaction: there is no moment without a database.
    former = f"ALTER DATABASE {NAME} RENAME TO {FORMER}"
    postgres.sql(layout, f"{former}; ALTER DATABASE {FRESH} RENAME TO {NAME}")
    _drop(layout, FORMER)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _migrate(layout: Layout, venv: Path, database: str, say: Say) -> None:
    """Run NetBox's migrations and say how far they are."""
    say("migrating NetBox's database: minutes, once a machine")
    log = layout.log("migrate")
    with log.open("w") as output:
        process = subprocess.Popen(
            [venv / "bin" / "python", web.EMBEDDED / "chapelle_migrate.py"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            cwd="/",
            env=environment(layout, {**web.environ(layout), "CHAPELLE_NETBOX_DATABASE": database}),
        )
        try:
            _follow(process.stdout or (), say)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.wait()
    if process.returncode:
        raise ChapelleError(
            "NetBox's migration failed.",
            where=str(log),
            found=tail(log),
            remedy="mend what it says (often a full disk) and run the same command again; "
            "it begins anew",
        )


def _follow(lines: Iterable[str], say: Say, interval: float = 5.0) -> None:
    """Say which migration is being applied, at most once an interval (seconds)."""
    began = spoken = monotonic()
    total = done = 0
    for line in lines:
        if line.startswith("total "):
            total = int(line.split()[1])
        elif match := _APPLYING.match(line):
            done += 1
            if done == total or monotonic() - spoken >= interval:
                spoken = monotonic()
                minutes, seconds = divmod(int(spoken - began), 60)
                say(f"migration {done} of {total}: {match[1]} ({minutes} min {seconds:02} s)")
