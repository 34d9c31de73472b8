"""The boot service for real: dnsmasq, HTTP and TLS, asked by real clients in namespaces."""

import contextlib
import datetime
import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import boot_rig as rig
import pytest
from boot_rig import BIOS, HTTP, IPXE, UEFI, Site, arguments, until, window

from chapelle.drivers.boot import BootService, Opened
from chapelle.drivers.boot.configuration import LOADERS
from chapelle.errors import InputError, RefusedError
from chapelle.model.boot import BootWindow

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

ORDER = b'{"host": "compute-a2-01", "passphrase": "secret"}'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def host(site: Site) -> rig.Machine:
    return site.machine(rig.MACS[0])


@pytest.fixture
def service(site: Site) -> Iterator[BootService]:
    with site.service() as made:
        yield made


@contextlib.contextmanager
def opened(service: BootService, wanted: BootWindow, reports: list[bytes]) -> Iterator[Opened]:
    def on_report(report: bytes) -> bool:
        reports.append(report)
        return b'"done"' in report

    with service.window(wanted, order=lambda: ORDER, on_report=on_report) as found:
        yield found


def boot(host: rig.Machine) -> tuple[dict[str, str], bytes]:
    """What the kernel would be told, and the authority that it would find."""
    _, text = host.request(host.dhcp(*IPXE)["bootfile"])
    told = arguments(text)
    status, authority = host.request(f"{told['chapelle.url']}/ca.pem")
    assert status == 200
    assert hashlib.sha256(authority).hexdigest() == told["chapelle.ca"]
    return told, authority


def test_nobody_is_answered_without_a_window_and_all_are_told_of(site, host, service) -> None:
    stranger = site.machine(rig.STRANGER)
    assert host.dhcp(*UEFI, tries=1) == {}
    assert stranger.dhcp(*BIOS, tries=2) == {}
    assert until(lambda: len(site.events) == 2)
    known, unknown = site.events
    assert (known.kind, known.host, known.mac) == ("closed", rig.HOST, rig.MACS[0])
    assert (unknown.kind, unknown.host, unknown.mac) == ("stranger", "", rig.STRANGER)


def test_a_window_answers_its_host_alone_each_firmware_in_its_way(site, host, service) -> None:
    other = site.machine(rig.OTHER_MAC)
    second = site.machine(rig.MACS[1])
    with opened(service, window(site.folder), []) as found:
        answer = host.dhcp(*UEFI)
        assert (answer["ip"], answer["mask"], answer["router"], answer["bootfile"]) == (
            rig.ADDRESS, "24", rig.SERVER, "snponly.efi",
        )  # fmt: skip
        answer = host.dhcp(*HTTP)
        assert answer["vendor"] == "HTTPClient"
        assert answer["bootfile"].endswith(f"/{found.token}/boot.efi")
        assert host.request(answer["bootfile"]) == (200, LOADERS["uefi"].read_bytes())
        assert host.dhcp(*IPXE)["bootfile"].endswith(f"/{found.token}/ipxe")
        assert other.dhcp(*UEFI, tries=1) == {}
        host.ip("addr", "flush", "dev", "eno1")
        assert second.dhcp(*UEFI)["ip"] == rig.ADDRESS
        second.ip("addr", "flush", "dev", "eno1")
    assert host.dhcp(*UEFI, tries=1) == {}
    told = {event.host for event in site.events if event.kind == "closed"}
    assert told == {rig.HOST, rig.OTHER}


def test_a_firmware_of_the_other_kind_is_given_nothing_and_told_of(site, host, service) -> None:
    with opened(service, window(site.folder), []):
        assert "bootfile" not in host.dhcp(*BIOS)
        assert until(lambda: "mode" in site.kinds())
        assert host.tftp("undionly.kpxe", site.folder) is None
    with opened(service, window(site.folder, firmware="bios"), []):
        assert host.dhcp(*BIOS)["bootfile"] == "undionly.kpxe"
        assert host.tftp("undionly.kpxe", site.folder) == LOADERS["bios"].read_bytes()
        assert "bootfile" not in host.dhcp(*UEFI)
        assert "bootfile" not in host.dhcp(*HTTP)


def test_a_host_behind_a_relay_boots_as_others_do(site) -> None:
    """A leaf that relays: it is the gateway of another network, and passes questions on."""
    leaf, host = site.machine("02:00:00:00:00:02"), site.machine(rig.MACS[0])
    leaf.ip("addr", "add", "10.64.2.2/24", "dev", "eno1")
    leaf.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    leaf.ip("link", "add", "low", "type", "veth", "peer", "name", "high",
            "netns", str(host.process.pid))  # fmt: skip
    leaf.ip("addr", "add", "10.64.3.1/24", "dev", "low")
    leaf.ip("link", "set", "low", "up")
    host.ip("link", "del", "eno1")
    host.ip("link", "set", "high", "name", "eno1", "address", rig.MACS[0])
    host.ip("link", "set", "eno1", "up")
    site.ip("route", "add", "10.64.3.0/24", "via", "10.64.2.2")
    relay = ["nsenter", f"--net={leaf.path}", "dnsmasq", "--conf-file=/dev/null", "--port=0",
             "--keep-in-foreground", "--pid-file=", "--dhcp-relay=10.64.3.1,10.64.2.1"]  # fmt: skip
    place = site.place(networks=(rig.NETWORK, "10.64.3.0/24"))
    path = f"{os.environ['PATH']}:/usr/sbin"
    with (
        subprocess.Popen(relay, stderr=subprocess.DEVNULL, env={"PATH": path}) as process,
        BootService(place, rig.NAMES, site.events.append) as service,
        opened(service, window(site.folder, address="10.64.3.11/24", gateway="10.64.3.1"), []),
    ):
        try:
            answer = host.dhcp(*UEFI)
            assert (answer["ip"], answer["bootfile"]) == ("10.64.3.11", "snponly.efi")
            assert host.tftp("snponly.efi", site.folder) == LOADERS["uefi"].read_bytes()
            told, authority = boot(host)
            assert host.request(f"{told['chapelle.url']}/order", authority=authority)[0] == 200
        finally:
            process.kill()


def test_tftp_gives_to_hosts_with_a_window_only(site, host, service) -> None:
    neighbour = site.machine("02:00:00:00:00:77")
    neighbour.ip("addr", "add", "10.64.2.77/24", "dev", "eno1")
    with opened(service, window(site.folder), []):
        host.dhcp(*UEFI)
        assert host.tftp("snponly.efi", site.folder) == LOADERS["uefi"].read_bytes()
        (site.folder / "got").unlink()
        assert neighbour.tftp("snponly.efi", site.folder) is None
        for name in ("../../hosts", "/run", "../options"):
            assert host.tftp(name, site.folder) is None
            assert neighbour.tftp(name, site.folder) is None
    assert host.tftp("snponly.efi", site.folder) is None


def test_a_host_boots_has_its_order_once_and_is_finished(site, host, service) -> None:
    reports: list[bytes] = []
    wanted = window(site.folder)
    with opened(service, wanted, reports):
        told, authority = boot(host)
        assert told["console"] == "ttyS0"
        for name in ("kernel", "initrd"):
            assert host.request(told[name]) == (200, (site.folder / name).read_bytes())
        url = told["chapelle.url"]
        assert host.request(f"{url}/order", authority=authority) == (200, ORDER)
        assert host.request(f"{url}/order", authority=authority)[0] == 410
        image = (site.folder / "image").read_bytes()
        assert host.request(f"{url}/image.tar.zst", authority=authority) == (200, image)
        part = {"Range": "bytes=2000000-"}
        assert host.request(f"{url}/image.tar.zst", authority=authority, headers=part) == (
            206,
            image[2_000_000:],
        )
        report = json.dumps({"stage": "unpack", "outcome": "running"}).encode()
        assert host.request(f"{url}/report", body=report, authority=authority) == (204, b"")
        done = json.dumps({"stage": "reboot", "outcome": "done"}).encode()
        assert host.request(f"{url}/report", body=done, authority=authority) == (204, b"")
        assert reports == [report, done]
        # It must not install itself again: nobody answers it any more.
        assert host.dhcp(*IPXE, tries=1) == {}
        assert until(lambda: "closed" in site.kinds())
        assert host.request(told["kernel"])[0] == 410
        assert host.request(f"{url}/report", body=done, authority=authority) == (204, b"")
    kinds = [kind for kind in site.kinds() if kind not in {"asked", "refused"}]
    assert kinds == ["script", "order", "finished", "closed"]
    assert "order was asked for a second time" in str(site.events)


def test_headers_arrive_whole(site, host, service) -> None:
    header = os.urandom(17 << 20)
    kept: dict[str, bytes] = {}
    with service.window(
        window(site.folder), order=lambda: ORDER, on_report=lambda _: False,
        on_header=kept.__setitem__,
    ):  # fmt: skip
        told, authority = boot(host)
        url = f"{told['chapelle.url']}/header"
        assert host.request(f"{url}/CHP300EAB328B1", body=header, authority=authority)[0] == 204
        assert kept == {"CHP300EAB328B1": header}
        assert host.request(f"{url}/a%2Fb", body=b"x", authority=authority)[0] in {400, 404}
        assert len(kept) == 1


def test_what_nobody_may_ask_for_is_refused_and_told(site, host, service) -> None:
    neighbour = site.machine("02:00:00:00:00:78")
    neighbour.ip("addr", "add", "10.64.2.78/24", "dev", "eno1")
    with opened(service, window(site.folder), []) as found:
        script = host.dhcp(*IPXE)["bootfile"]
        assert neighbour.request(script)[0] == 403
        assert found.boots == 0
        told, authority = boot(host)
        url = told["chapelle.url"]
        assert neighbour.request(f"{url}/order", authority=authority)[0] == 403
        strange = urllib.parse.urlsplit(url)._replace(path="/%C3%A9/order").geturl()
        assert host.request(strange, authority=authority)[0] == 404
        for path in ("order2", "../hosts", "%2e%2e/hosts", "kernel"):
            assert host.request(f"{url}/{path}", authority=authority)[0] == 404, path
        assert host.request(f"{url}/order", body=b"x", authority=authority)[0] == 405
        bad = urllib.parse.urlsplit(url)._replace(path=f"/{'0' * 48}/order").geturl()
        assert host.request(bad, authority=authority)[0] == 404
        # Over plain HTTP there are no secrets.
        plain = told["kernel"].removesuffix("kernel")
        assert host.request(f"{plain}order")[0] == 404
        assert host.request(f"{plain}image.tar.zst")[0] == 404
        assert host.request(f"{url}/order", authority=authority) == (200, ORDER)
    assert host.request(f"{url}/order", authority=authority)[0] == 404
    assert site.kinds().count("refused") == 12
    assert found.token not in str(site.events)
    assert told["chapelle.url"].rpartition("/")[2] not in str(site.events)


def test_a_medium_is_given_to_the_bmc_alone_and_piece_by_piece(site, host, service) -> None:
    bmc = site.machine("02:00:00:00:00:79")
    bmc.ip("addr", "add", "10.64.2.79/24", "dev", "eno1")
    host.dhcp(*IPXE, tries=1)
    for firmware in ("bios", "uefi"):
        medium = service.medium(firmware)
        assert service.medium(firmware) == medium
        wanted = window(site.folder, firmware=firmware, medium=medium, bmc="10.64.2.79")
        with opened(service, wanted, []) as found:
            whole = medium.path.read_bytes()
            assert b"EL TORITO SPECIFICATION" in whole
            assert bmc.request(found.medium_url) == (200, whole)
            piece = bmc.request(found.medium_url, headers={"Range": "bytes=2048-4095"})
            assert piece == (206, whole[2048:4096])
            host.dhcp(*IPXE)
            assert host.request(found.medium_url)[0] == 403
            assert bmc.request(f"{found.url}/ipxe")[0] == 403, "the boot is the host's"
            boot(host)
            service.finish(found)
            assert bmc.request(found.medium_url)[0] == 410
        assert bmc.request(found.medium_url)[0] == 404
    assert site.kinds().count("medium") == 2
    assert found.token not in str(site.events)
    with opened(service, window(site.folder), []) as found:
        assert bmc.request(found.medium_url)[0] == 403


def test_a_second_boot_ends_the_first_and_is_told(site, host, service) -> None:
    with opened(service, window(site.folder), []):
        first, authority = boot(host)
        assert host.request(f"{first['chapelle.url']}/order", authority=authority)[0] == 200
        second, _ = boot(host)
        assert host.request(first["kernel"])[0] == 404
        assert host.request(f"{first['chapelle.url']}/order", authority=authority)[0] == 404
        assert host.request(f"{second['chapelle.url']}/order", authority=authority)[0] == 200
    assert [kind for kind in site.kinds() if kind in {"script", "order", "again"}] == [
        "script", "order", "again", "script", "order",
    ]  # fmt: skip


def test_an_order_that_did_not_get_there_may_be_asked_for_again(site, host, service) -> None:
    made = iter([RuntimeError("no order yet"), ORDER])

    def order() -> bytes:
        found = next(made)
        if isinstance(found, Exception):
            raise found
        return found

    with service.window(window(site.folder), order=order, on_report=lambda _: False):
        told, authority = boot(host)
        assert host.request(f"{told['chapelle.url']}/order", authority=authority)[0] == 500
        (broken,) = [event for event in site.events if event.kind == "broken"]
        assert "RuntimeError" in broken.message
        assert "no order yet" not in broken.message
        assert host.request(f"{told['chapelle.url']}/order", authority=authority) == (200, ORDER)


def test_a_file_that_is_not_what_it_has_to_be_is_never_served(site, host, service) -> None:
    wanted = window(site.folder)
    (site.folder / "initrd").write_bytes(b"another")
    with pytest.raises(RefusedError, match="not what it has to be"), opened(service, wanted, []):
        pytest.fail("the window opened")
    assert host.dhcp(*UEFI, tries=1) == {}
    with opened(service, window(site.folder), []):
        told, authority = boot(host)
        url = f"{told['chapelle.url']}/image.tar.zst"
        with (site.folder / "image").open("r+b") as image:
            image.seek(1_000_000)
            image.write(b"flipped")
        assert host.request(url, authority=authority) == (500, b"")
        assert until(lambda: "corrupt" in site.kinds())


def test_a_download_that_is_cut_short_shows_it_and_goes_on_later(site, host) -> None:
    large = os.urandom(60_000_000)
    image = rig.file(site.folder / "large", large)
    wanted = window(site.folder, files={"image.tar.zst": image})
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(site.service())
        stack.enter_context(opened(first, wanted, []))
        told, authority = boot(host)
        connection = host.connect(told["chapelle.url"], authority)
        path = urllib.parse.urlsplit(told["chapelle.url"]).path
        connection.request("GET", f"{path}/image.tar.zst")
        answer = connection.getresponse()
        got = answer.read(1_000_000)
    with contextlib.suppress(Exception):  # gone: an error, or too few bytes
        while more := answer.read(1 << 20):
            got += more
    connection.close()
    assert len(got) < len(large)
    with site.service() as second, opened(second, wanted, []):
        told, authority = boot(host)
        status, rest = host.request(
            f"{told['chapelle.url']}/image.tar.zst", authority=authority,
            headers={"Range": f"bytes={len(got)}-"},
        )  # fmt: skip
        assert (status, got + rest == large) == (206, True)


def test_two_hosts_are_never_one(site, service) -> None:
    folder = site.folder
    with opened(service, window(folder), []):
        for wrong in (
            window(folder),
            window(folder, host=rig.OTHER, address="10.64.2.12/24"),
            window(folder, host=rig.OTHER, macs=(rig.OTHER_MAC,)),
        ):
            with (
                pytest.raises(RefusedError, match="cannot boot as one"),
                opened(service, wrong, []),
            ):
                pytest.fail("the window opened")
        fit = window(folder, host=rig.OTHER, macs=(rig.OTHER_MAC,), address="10.64.2.12/24")
        with opened(service, fit, []):
            pass


@pytest.mark.parametrize(
    "changes",
    [
        {"macs": ()},
        {"macs": ("02:C4:02:00:01:01",)},
        {"macs": ("02:c4:02:00:01:01,10.64.2.9",)},
        {"host": "a\ndhcp-host=b"},
        {"address": "10.64.2.11"},
        {"address": "10.64.3.11/24", "gateway": ""},
        {"gateway": "10.64.3.1"},
        {"command_line": "quiet\nchain http://elsewhere"},
        {"command_line": "${net0/mac}"},
        {"expires": datetime.datetime(2099, 1, 1)},
    ],
)
def test_a_window_that_would_mean_something_else_is_refused(site, service, changes) -> None:
    if changes.get("address") == "10.64.2.11":
        changes = {**changes, "gateway": "10.64.9.1"}
    with pytest.raises(InputError), opened(service, window(site.folder, **changes), []):
        pytest.fail("the window opened")


def test_a_window_ends_by_itself(site, host, service) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    with opened(service, window(site.folder, expires=soon), []):
        told, authority = boot(host)
        assert until(lambda: "expired" in site.kinds())
        assert host.request(f"{told['chapelle.url']}/order", authority=authority)[0] == 404
        assert host.dhcp(*UEFI, tries=1) == {}
    with (
        pytest.raises(RefusedError, match="over before"),
        opened(service, window(site.folder, expires=soon), []),
    ):
        pytest.fail("the window opened")


# -- what becomes of it when it ends in other ways -------------------------------------------------


def servers(site: Site) -> list[int]:
    """The processes of dnsmasq in the site's namespace."""
    found = []
    wanted = site.path.stat().st_ino
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            same = (process / "ns/net").stat().st_ino == wanted
            if same and (process / "comm").read_text() == "dnsmasq\n":
                found.append(int(process.name))
    return found


def test_nothing_is_left_when_it_closes(site) -> None:
    place = site.place()
    with site.service():
        assert len(servers(site)) == 2
        assert place.run.is_dir()
        assert place.run.stat().st_mode & 0o77 == 0
    assert servers(site) == []
    assert not place.run.exists()


def test_an_error_inside_closes_the_window(site, host, service) -> None:
    with pytest.raises(ZeroDivisionError), opened(service, window(site.folder), []):
        raise ZeroDivisionError
    assert host.dhcp(*UEFI, tries=1) == {}


CONTROLLER = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
import boot_rig as rig
from chapelle.drivers.boot import BootService, Place
place = Place(run=Path({run!r}), address=rig.SERVER, networks=(rig.NETWORK,), interfaces=("br0",),
              namespace=Path({namespace!r}))
with BootService(place, rig.NAMES, lambda event: None) as service:
    window = rig.window(Path({folder!r}))
    with service.window(window, order=lambda: b"", on_report=lambda report: False):
        print("open", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_controller_that_is_killed_leaves_no_window_open(site, host, sent) -> None:
    run = Path(f"/run/chap-{os.getpid()}.killed")
    text = CONTROLLER.format(
        path=sys.path, run=str(run), namespace=str(site.path), folder=str(site.folder)
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == "open\n"
        url = host.dhcp(*IPXE)["bootfile"]
        controller.send_signal(sent)
        controller.wait(20)
    assert until(lambda: servers(site) == [] and not run.exists())
    assert host.dhcp(*IPXE, tries=1) == {}
    with pytest.raises(OSError, match="refused"):
        host.request(url)


def test_a_dnsmasq_that_dies_is_told_of_and_so_is_its_keeper(site) -> None:
    with site.service():
        os.kill(servers(site)[0], signal.SIGKILL)
        assert until(lambda: "broken" in site.kinds())
        assert until(lambda: servers(site) == [])
    with site.service() as service, opened(service, window(site.folder), []):
        text = Path(f"/proc/{servers(site)[0]}/status").read_text()
        (first,) = [int(line.split()[1]) for line in text.splitlines() if line.startswith("PPid")]
        os.kill(first, signal.SIGKILL)
        assert until(lambda: "broken" in site.kinds())
        assert until(lambda: servers(site) == [])


def test_many_windows_are_open_at_once(site) -> None:
    with site.service() as service, contextlib.ExitStack() as stack:
        for number in range(20):
            wanted = window(
                site.folder,
                host=f"host-{number}",
                macs=(f"02:00:00:00:01:{number:02x}",),
                address=f"10.64.2.{100 + number}/24",
            )
            stack.enter_context(opened(service, wanted, []))
        for number in (0, 19):
            machine = site.machine(f"02:00:00:00:01:{number:02x}")
            assert machine.dhcp(*UEFI)["ip"] == f"10.64.2.{100 + number}"
