"""Design to NetBox to snapshot, for any small design: nothing is lost, nothing added."""

from collections.abc import Callable

import msgspec
import pytest
import reference
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_designs import HEIGHT, tiny

from chapelle.model.diff import diff
from chapelle.netbox import access, server, snapshot
from chapelle.netbox import server_database as database
from chapelle.netbox import server_postgres as postgres
from chapelle.netbox.design import Design
from chapelle.netbox.expand import Desired, expand
from chapelle.netbox.seed import Client, Seeder, SeedResult
from chapelle.netbox.server_layout import Layout
from chapelle.settings import Settings

pytestmark = pytest.mark.netbox

EMPTY = "empty"

# What a person types: NetBox takes no control characters, and no space at either end.
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
texts = st.lists(words, max_size=6).map(" ".join)

servers = st.dictionaries(st.sampled_from(sorted(HEIGHT)), st.integers(1, 3), min_size=1)


@st.composite
def designs(draw: st.DrawFn) -> Design:
    made = tiny(draw(servers))
    replace = msgspec.structs.replace
    site = replace(made.site.site, description=draw(texts), physical_address=draw(texts))
    one = replace(
        made.servers,
        name=draw(st.sampled_from(["{role}-a{aisle}-{number:02d}", "s{number}-{role}"])),
        status=draw(st.sampled_from(["planned", "staged", "active", "offline"])),
        tenant=draw(st.sampled_from([None, "ap-hp"])),
        bond=replace(made.servers.bond, mtu=draw(st.integers(1280, 9216))),
    )
    tenants = [replace(each, description=draw(texts)) for each in made.tenancy.tenants]
    return replace(
        made,
        site=replace(made.site, site=site),
        servers=one,
        tenancy=replace(made.tenancy, tenants=tenants),
    )


@pytest.fixture(scope="module")
def emptied(new_state) -> Callable[[], Settings]:
    """A function that gives a NetBox with nothing in it, in a second: each time the same one."""
    own: Settings = new_state()
    server.up(own, print)
    layout = Layout.of(own)

    def sql(*statements: str) -> None:
        for statement in statements:
            postgres.sql(layout, statement)

    open_to_all = f"ALTER DATABASE {database.NAME} ALLOW_CONNECTIONS"
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
    sql(
        f"{open_to_all} false",
        others.format(database.NAME),
        f"CREATE DATABASE {EMPTY} TEMPLATE {database.NAME}",
        f"{open_to_all} true",
    )

    def empty() -> Settings:
        sql(
            f"DROP DATABASE {database.NAME} WITH (FORCE)",
            f"CREATE DATABASE {database.NAME} TEMPLATE {EMPTY}",
        )
        return own

    return empty


def seeded(own: Settings, desired: Desired, tag: str, *, dry_run: bool) -> SeedResult:
    granted = access.access(own, "read" if dry_run else "seed")
    client = Client(granted.url, access.connect(granted).http_session)
    return Seeder(client, desired, tag=tag, dry_run=dry_run).run()


@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],  # an example takes half a minute
    suppress_health_check=list(HealthCheck),
)
@given(design=designs())
def test_a_snapshot_shows_what_the_design_says(
    emptied: Callable[[], Settings], design: Design
) -> None:
    own = emptied()
    desired = expand(design)
    tag = design.customization.managed_tag.slug
    assert seeded(own, desired, tag, dry_run=False).conflicts == []
    taken = snapshot.take(own, full=True).snapshot.content
    assert diff(reference.content_of(desired), taken) == []
    again = seeded(own, desired, tag, dry_run=True)
    assert (again.created, again.updated, again.conflicts) == (0, 0, [])
