"""The installer's order for one server, made from the model: all of it but what is secret.

The same NetBox content, files and image give the same order, so its digest can stand in a plan.
What is secret, and what a run adds, is filled in when the installer asks for its order.
"""

import datetime
import uuid
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from chapelle.errors import InputError
from chapelle.model import deploy
from chapelle.model import records as r
from chapelle.model.boot import BootFile, BootWindow
from chapelle.model.datacentre import Datacentre
from chapelle.model.disks import Disk, Mode, Storage, disks_of
from chapelle.model.hardware import BootWay, Model, Quirks
from chapelle.model.records import VIRTUAL_TYPES
from chapelle.plan import disks as guard
from chapelle.plan import erasure, networkd, storage
from chapelle.plan.deploy.policy import FILE, Encryption, Policy
from chapelle.plan.hostvars import hostvars, service_addresses

TANG_SERVICE = "tang"

# Where a system says which run installed it.
MARKER = "/etc/chapelle/installed"

# Where it says the SHA-256 of the image that it was installed from; runs read it there.
IMAGE = "/etc/chapelle/image"

# Machine ids are made of the host's name and serial number: a rebuilt host keeps its own.
_NAMESPACE = uuid.UUID("0d7f6c0e-6a2b-5a53-8a0e-3d1c6f6f7a20")

_MODES: dict[Mode, deploy.Mode] = {"build": "build", "rebuild": "rebuild", "retire": "erase"}


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What orders are made of beside NetBox.

    Arguments:
        hosts: the servers that are begun at their BMC in status planned.
        policy: `inventory/deploy.yml`.
        storage: `inventory/storage.yml`.
        quirks: `inventory/hardware-quirks.yml`.
        thumbprints: of the Tang servers' signing keys, by address.
        root, kernel, initrd: the image and the ramdisk.
        root_size: of the image, bytes.
        user_authority: the SSH authority whose user certificates let people in.
        lldp_seconds: how long the installer listens for switches.
    """

    hosts: frozenset[str]
    policy: Policy
    storage: Storage
    quirks: Quirks
    thumbprints: dict[str, str]
    root: BootFile
    root_size: int
    kernel: BootFile
    initrd: BootFile
    user_authority: str
    lldp_seconds: int = 35


def order(
    dc: Datacentre,
    device: r.Device,
    ground: Ground,
    kernel: Mapping[str, bool],
    *,
    mode: Mode,
    status: str,
) -> deploy.Order:
    """What the installer shall do, without run, host keys, passphrase and orders of erasure.

    Arguments:
        dc: the datacentre.
        device: the server.
        ground: what else it is made of.
        kernel: what the server's kernel can do, as `hostvars` wants it.
        mode: what it is booted for.
        status: that which the server had when this was planned.

    Raises:
        InputError: NetBox or a file does not say enough of it.
        RefusedError: the disk guard stops it.
    """
    name = device.name or ""
    disks = disks_of(dc, device)
    verdict = guard.judge(name, status, mode, disks, os_disks=ground.storage.os.disks)
    verdict.require()
    actions = {grant.serial: grant.action for grant in verdict.grants}
    places = {p.serial: p for p in storage.places(ground.storage, dc.role_of(device), disks)}
    made = deploy.Order(
        host=name,
        run="",
        mode=_MODES[mode],
        machine=_machine(dc, device),
        disks=tuple(_disk(name, disk, actions[disk.serial], places) for disk in disks),
        layout=deploy.Layout(
            esp_mib=ground.storage.os.esp_mib,
            boot_mib=ground.storage.os.boot_mib,
            root_filesystem=ground.storage.os.filesystem,
        ),
        lldp_seconds=ground.lldp_seconds,
    )
    if mode == "retire":
        return msgspec.structs.replace(made, reboot=False, network=_network(dc, device, kernel))
    said = hostvars(dc, device, kernel)
    return msgspec.structs.replace(
        made,
        image=deploy.Image(
            path=ground.root.path.name, sha256=ground.root.sha256, size=ground.root_size
        ),
        identity=deploy.Identity(
            hostname=said["base_hostname"],
            fqdn=said["base_fqdn"],
            machine_id=uuid.uuid5(_NAMESPACE, f"{name}/{device.serial}").hex,
            host_keys=(),
            user_authority=ground.user_authority,
            files=tuple(
                deploy.File(path=file["path"], content=file["content"])
                for file in networkd.files(said["network_links"])
            ),
        ),
        network=_network(dc, device, kernel),
        encryption=encryption(dc, device, ground.policy.encryption, ground.thumbprints),
    )


def model_of(dc: Datacentre, device: r.Device, quirks: Quirks) -> Model:
    """What is known of a server's model.

    Raises:
        InputError: nothing is.
    """
    kind = dc.device_types[device.device_type]
    return quirks.of(dc.manufacturers[kind.manufacturer].name, kind.model)


def firmware(model: Model) -> Literal["bios", "uefi"]:
    """The kind of firmware that a model's servers are to start with.

    Raises:
        InputError: the file of quirks does not say.
    """
    found = model.wanted.get("boot-mode")
    if found not in {"bios", "uefi"}:
        raise InputError(
            f"It is not said how servers of model {model.model} start.",
            where="inventory/hardware-quirks.yml, wanted.boot-mode",
            expected="uefi or bios",
            found=repr(found),
            remedy="say it there",
        )
    return cast("Literal['bios', 'uefi']", found)


def way(model: Model, ground: Ground) -> BootWay:
    """How a model's servers are brought to load the installer."""
    return model.boot or ground.policy.boot_source


def _machine(dc: Datacentre, device: r.Device) -> deploy.Machine:
    kind = dc.device_types[device.device_type]
    ports = []
    for port in dc.interfaces_by_device.get(device.id, ()):
        if port.mgmt_only or port.type in VIRTUAL_TYPES:
            continue
        if not port.mac_address:
            raise _lacks(device, f"a MAC address of {port.name}")
        far = dc.peer_interface(port)
        switch = dc.devices.get(far.device) if far else None
        ports.append(
            deploy.Port(
                name=port.name,
                mac=port.mac_address.lower(),
                switch=switch.name or "" if switch else "",
                switch_port=far.name if far and switch else "",
            )
        )
    if not device.serial.strip():
        raise _lacks(device, "its serial number")
    return deploy.Machine(
        serial=device.serial.strip(),
        manufacturer=dc.manufacturers[kind.manufacturer].name,
        model=kind.model,
        ports=tuple(sorted(ports, key=lambda port: port.name)),
    )


def _disk(host: str, disk: Disk, action: deploy.Action, places: Mapping[str, Any]) -> deploy.Disk:
    place = places.get(disk.serial)
    return deploy.Disk(
        name=disk.name,
        serial=disk.serial,
        size_gb=disk.size_gb or 0,
        purpose=cast("deploy.Purpose", disk.purpose),
        action=action,
        mark=deploy.mark(host, disk.serial),
        label=place.label if place else "",
        mount=place.mount if place else "",
    )


def _network(dc: Datacentre, device: r.Device, kernel: Mapping[str, bool]) -> deploy.BootNetwork:
    """The port that the server boots from, and the address that it has there.

    Raises:
        InputError: its primary address is on no port of its own.
    """
    primary = dc.primary_ip4(device)
    links = hostvars(dc, device, kernel)["network_links"]
    holder = next((e for e in links if primary and primary.address in e["addresses"]), None)
    below = holder["parent"] or holder["name"] if holder else ""
    port = next(
        (e for e in links if e["kind"] == "physical" and below in {e["name"], e["bond"]}), None
    )
    if primary is None or holder is None or port is None or not port["mac"]:
        raise _lacks(device, "a port with a MAC address that carries its primary IPv4 address")
    return deploy.BootNetwork(
        mac=port["mac"],
        address=primary.address,
        gateway=holder["gateway"] or "",
        vlan=holder["vid"],
    )


def encryption(
    dc: Datacentre, device: r.Device, policy: Encryption, thumbprints: Mapping[str, str]
) -> deploy.Encryption:
    """What opens a server's disks, without the passphrase.

    Raises:
        InputError: a Tang server is known by no thumbprint, or there are too few.
    """
    primary = dc.primary_ip4(device)
    vrf = primary.vrf if primary else None
    servers = []
    for address in service_addresses(dc, TANG_SERVICE, vrf):
        known = thumbprints.get(address)
        if known is None:
            raise InputError(
                f"The Tang server at {address} is known by no thumbprint.",
                where=f"{FILE}, encryption.thumbprints",
                expected="the thumbprint of its signing key; no server is trusted on first use",
                found="none",
                remedy="on the Tang server: tang-show-keys",
            )
        port = f":{policy.port}" if policy.port != 80 else ""
        servers.append(deploy.Tang(url=f"http://{address}{port}", thumbprint=known))
    if len(servers) < policy.threshold:
        raise InputError(
            f"The network of {device.name} has too few Tang servers.",
            where=f"{FILE}, encryption.threshold",
            expected=f"{policy.threshold} active IP addresses named tang1, tang2... in NetBox",
            found=str(len(servers)),
            remedy="add them in NetBox, or lower the threshold",
        )
    return deploy.Encryption(
        passphrase="", tang=tuple(servers), threshold=policy.threshold, tpm2=policy.tpm2
    )


def pins(found: deploy.Encryption) -> dict[str, Any]:
    """The policy of clevis' pin sss, as the installer binds disks, too."""
    servers = [{"url": each.url, "thp": each.thumbprint} for each in found.tang]
    tang: dict[str, Any] = {"t": found.threshold, "pins": {"tang": servers}}
    if not found.tpm2:
        return tang
    return {"t": 2, "pins": {"tpm2": {"pcr_bank": "sha256", "pcr_ids": "7"}, "sss": tang}}


def _lacks(device: r.Device, what: str) -> InputError:
    return InputError(
        f"NetBox does not say enough of {device.name} to bring it up from nothing.",
        where=f"device {device.name} in NetBox",
        expected=what,
        found="none",
        remedy="complete it in NetBox; invoke check lists all such devices",
    )


def mode_of(kind: str) -> Mode:
    """What a run of that kind boots a server for."""
    return {"rebuild": "rebuild", "retire": "retire"}.get(kind, "build")  # type: ignore[return-value]


def parts(made: deploy.Order, model: Model, ground: Ground) -> dict[str, Any]:
    """What a plan holds the digest of, by names that tell a person what has moved since."""
    return {
        "image": made.image,
        "kernel": ground.kernel.sha256,
        "ramdisk": ground.initrd.sha256,
        "machine": made.machine,
        "disks": (made.disks, made.layout),
        "encryption": (made.encryption, made.network),
        "identity": made.identity,
        "settings": (model.wanted, way(model, ground)),
    }


def window(
    made: deploy.Order, ground: Ground, model: Model, expires: datetime.datetime
) -> BootWindow:
    """The boot window that lets a server have this order.

    Raises:
        ValueError: the order says nothing of the network.
    """
    if made.network is None:
        raise ValueError("an order without a network")
    return BootWindow(
        host=made.host,
        macs=tuple(port.mac for port in made.machine.ports),
        address=made.network.address,
        gateway=made.network.gateway,
        firmware=firmware(model),
        expires=expires,
        kernel=ground.kernel,
        initrd=ground.initrd,
        files={made.image.path: ground.root} if made.image else {},
        command_line=f"console=tty0 console={made.console} panic=60",
    )


def completed(
    made: deploy.Order,
    run: str,
    *,
    host_keys: tuple[deploy.HostKey, ...] = (),
    passphrase: str = "",
) -> deploy.Order:
    """The order as the installer gets it: with its run, and with what is secret.

    Arguments:
        made: as `order` makes it.
        run: the run that gives it.
        host_keys: of the new system, signed.
        passphrase: for its disks.
    """
    if made.identity is None or made.encryption is None:
        erasures = tuple(
            deploy.Erasure(
                serial=disk.serial,
                order=msgspec.to_builtins(erasure.order(run, made.host, disk.serial)),
            )
            for disk in made.disks
            if disk.action == "erase"
        )
        return msgspec.structs.replace(made, run=run, erasures=erasures)
    notes = [deploy.File(path=MARKER, content=f"{run}\n")]
    if made.image:
        notes.append(deploy.File(path=IMAGE, content=f"{made.image.sha256}\n"))
    identity = msgspec.structs.replace(
        made.identity, host_keys=host_keys, files=(*made.identity.files, *notes)
    )
    secret = msgspec.structs.replace(made.encryption, passphrase=passphrase)
    return msgspec.structs.replace(made, run=run, identity=identity, encryption=secret)
