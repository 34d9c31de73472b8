"""Orders for the installer: what they say of a server, and that a plan knows when they moved."""

import datetime
from pathlib import Path

import edits
import msgspec
import pytest
import reference

from chapelle.drivers.bmc import quirks
from chapelle.errors import InputError, RefusedError
from chapelle.installer import order as installer
from chapelle.model import deploy
from chapelle.model.boot import BootFile
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import DEPLOY_STEPS, STEPS
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.plan import plan as plans
from chapelle.plan import scope as scopes
from chapelle.plan import storage
from chapelle.plan.deploy import order as orders
from chapelle.plan.deploy import policy
from chapelle.plan.deploy.order import Ground
from chapelle.plan.hostvars import WHOLE

ROOT = Path(__file__).parents[2]
COMPUTE, STORAGE = "compute-a2-01", "storage-a2-01"
NOW = {"target": "lab", "commit": "c0ffee", "kernels": WHOLE}
TANG = {"10.64.0.31": "a" * 43, "10.64.0.32": "b" * 43}


def file(name: str, digit: str) -> BootFile:
    return BootFile(path=Path("/cache") / name, sha256=digit * 64)


GROUND = Ground(
    hosts=frozenset({COMPUTE, STORAGE}),
    policy=policy.read(ROOT / policy.FILE),
    storage=storage.read(ROOT / "inventory/storage.yml"),
    quirks=quirks.read(ROOT / "inventory/hardware-quirks.yml"),
    thumbprints=TANG,
    root=file("root.tar.zst", "1"),
    root_size=1234,
    kernel=file("vmlinuz", "2"),
    initrd=file("initrd.img", "3"),
    user_authority="ssh-ed25519 AAAA users\n",
)


# All models boot by virtual media.
BY_MEDIUM = msgspec.structs.replace(
    GROUND.quirks,
    models=tuple(msgspec.structs.replace(model, boot="cd") for model in GROUND.quirks.models),
)


def of(content: Content) -> Datacentre:
    return Datacentre(Snapshot(content))


def order(
    name: str = STORAGE, mode: str = "build", status: str = "planned", ground: Ground = GROUND
) -> deploy.Order:
    dc = reference.datacentre()
    return orders.order(dc, dc.device(name), ground, {}, mode=mode, status=status)  # type: ignore[arg-type]


def made(content: Content, ground: Ground | None = GROUND, kind: str = "provision") -> plans.Plan:
    scope = scopes.parse(rack="A2-R01")
    return plans.build(of(content), scope, kind=kind, ground=ground, **NOW)  # type: ignore[arg-type]


# -- orders ---------------------------------------------------------------------------------------


def test_an_order_names_every_disk_with_what_may_be_done_to_it_and_where_it_goes() -> None:
    disks = {disk.name: disk for disk in order().disks}
    assert len(disks) == 14
    assert disks["disk-os-1"].action == "write"
    data = disks["disk-data-03"]
    assert (data.action, data.label, data.mount) == ("format", "storage-03", "/srv/data/03")
    assert data.mark == deploy.mark(STORAGE, data.serial)


def test_a_rebuild_mounts_data_disks_and_an_erasure_erases_them() -> None:
    rebuilt, erased = order(mode="rebuild", status="active"), order(mode="retire", status="active")
    assert {d.action for d in rebuilt.disks if d.purpose == "data"} == {"mount"}
    assert {d.action for d in erased.disks} == {"erase"}
    done = orders.completed(erased, "run-1")
    assert [e.serial for e in done.erasures] == [d.serial for d in erased.disks]
    assert {e.order["run"] for e in done.erasures} == {"run-1"}
    assert (done.image, done.identity, done.encryption) == (None, None, None)


def test_a_server_in_service_is_never_built_for_the_first_time() -> None:
    with pytest.raises(RefusedError, match=r"(?s)planned or staged.*active"):
        order(status="active")


def test_the_order_has_cables_network_keys_and_tang_servers_from_netbox() -> None:
    found = order()
    assert [port.name for port in found.machine.ports] == ["eno1", "eno2"]
    assert {port.switch for port in found.machine.ports} == {"leaf-a2-1a", "leaf-a2-1b"}
    assert found.network is not None
    assert found.encryption is not None
    assert found.identity is not None
    assert found.network.mac == found.machine.ports[0].mac
    assert found.network.gateway == "10.64.2.1"
    assert [server.thumbprint for server in found.encryption.tang] == list(TANG.values())
    assert any("bond0.netdev" in each.path for each in found.identity.files)
    assert len(found.identity.machine_id) == 32
    assert found.identity.machine_id == order().identity.machine_id  # type: ignore[union-attr]
    assert found.identity.machine_id != order(COMPUTE).identity.machine_id  # type: ignore[union-attr]


def test_an_order_without_secrets_holds_none_and_the_installer_reads_one_with_them() -> None:
    plain = order()
    assert plain.encryption is not None
    assert plain.encryption.passphrase == ""
    key = deploy.HostKey(private="PRIVATE", public="ssh-ed25519 A", certificate="C")
    full = orders.completed(plain, "run-1", host_keys=(key,), passphrase="correct horse")
    read = installer.read(msgspec.json.encode(full))
    assert (read.host, read.run, read.mode) == (STORAGE, "run-1", "build")
    assert read.encryption is not None
    assert read.encryption.passphrase == "correct horse"
    assert read.identity is not None
    assert plain.image is not None
    notes = {(orders.MARKER, "run-1\n"), (orders.IMAGE, f"{plain.image.sha256}\n")}
    assert notes <= {(file.path, file.content) for file in read.identity.files}
    erased = orders.completed(order(mode="retire", status="failed"), "run-1")
    assert installer.read(msgspec.json.encode(erased)).mode == "erase"


def test_the_boot_window_lets_the_hosts_own_ports_have_its_own_files() -> None:
    dc, found = reference.datacentre(), order()
    model = orders.model_of(dc, dc.device(STORAGE), GROUND.quirks)
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    window = orders.window(found, GROUND, model, soon)
    window.validate()
    assert window.firmware == "uefi"
    assert set(window.macs) == {port.mac for port in found.machine.ports}
    assert window.files == {"root.tar.zst": GROUND.root}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"thumbprints": {"10.64.0.31": "a" * 43}}, "10.64.0.32 is known by no thumbprint"),
        ({"quirks": msgspec.structs.replace(GROUND.quirks, models=())}, "Nothing is known"),
    ],
)
def test_what_is_not_known_is_an_error(change: dict[str, object], said: str) -> None:
    ground = msgspec.structs.replace(GROUND, **change)
    with pytest.raises(InputError, match=said):
        made(reference.content(), ground)


def test_too_few_tang_servers_are_an_error() -> None:
    encryption = msgspec.structs.replace(GROUND.policy.encryption, threshold=3)
    ground = msgspec.structs.replace(
        GROUND, policy=msgspec.structs.replace(GROUND.policy, encryption=encryption)
    )
    with pytest.raises(InputError, match=r"(?s)too few Tang servers.*3 active"):
        order(ground=ground)


# -- plans ----------------------------------------------------------------------------------------


def test_only_planned_servers_with_a_bmc_and_an_image_begin_at_their_bmc() -> None:
    plan = made(reference.content())
    bare = {host.name for host in plan.hosts if host.steps == (*DEPLOY_STEPS, *STEPS)}
    others = {host.steps for host in plan.hosts if host.name not in bare}
    assert bare == {COMPUTE, STORAGE} & set(plan.by_name)
    assert COMPUTE in bare
    assert others == {STEPS}
    active = edits.edited(reference.content(), "devices", edits.named(COMPUTE), status="active")
    assert made(active).by_name[COMPUTE].steps == STEPS


def test_without_machines_a_plan_is_what_it_always_was() -> None:
    plan = made(reference.content(), None)
    assert {host.steps for host in plan.hosts} == {STEPS}
    assert not any(name.startswith("deploy") for host in plan.hosts for name in host.intent)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("deploy image", {"root": file("root.tar.zst", "9")}),
        ("deploy ramdisk", {"initrd": file("initrd.img", "9")}),
        ("deploy encryption", {"thumbprints": {**TANG, "10.64.0.31": "c" * 43}}),
        ("deploy settings", {"quirks": BY_MEDIUM}),
    ],
)
def test_a_plan_says_what_of_the_installation_has_moved(
    what: str, change: dict[str, object]
) -> None:
    content = reference.content()
    plan = made(content)
    ground = msgspec.structs.replace(GROUND, **change)
    assert plans.moved(plan, of(content), ground=GROUND, **NOW) == []  # type: ignore[arg-type]
    lines = plans.moved(plan, of(content), ground=ground, **NOW)  # type: ignore[arg-type]
    assert f"{COMPUTE}: intent changed in {what}" in lines


def test_another_disk_in_netbox_moves_the_plan_of_its_server() -> None:
    content = reference.content()
    owner = edits.device(content, COMPUTE).id

    def is_disk(item: object) -> bool:
        return item.device == owner and item.name == "disk-os-1"  # type: ignore[attr-defined]

    after = edits.edited(content, "inventory_items", is_disk, serial="ANOTHER-1")
    lines = plans.moved(made(content), of(after), ground=GROUND, **NOW)  # type: ignore[arg-type]
    assert lines == [f"{COMPUTE}: intent changed in deploy disks"]


def test_a_run_that_is_gone_on_with_is_not_moved_by_the_status_that_it_set() -> None:
    content = reference.content()
    plan = made(content)
    after = edits.edited(content, "devices", edits.named(COMPUTE), status="failed")
    own = {COMPUTE: frozenset({"failed"})}
    assert plans.moved(plan, of(after), ground=GROUND, own_statuses=own, **NOW) == []  # type: ignore[arg-type]
