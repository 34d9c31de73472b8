"""The installer's way to the boot service: one authority, whole files, an end to waiting."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from installer_bench import TAR, Service

from chapelle.installer.link import GoneError, Link
from chapelle.installer.stop import Failed

SIZE = 5 << 20
CONTENT = hashlib.shake_256(b"an image").digest(SIZE)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A boot service on this machine itself; its certificate has been over for years."""
    (tmp_path / TAR).write_bytes(CONTENT)
    found = Service(tmp_path, tmp_path / TAR, here="127.0.0.1")
    yield found
    found.close()


def test_a_service_of_the_authority_that_the_command_line_names_is_believed(
    service: Service,
) -> None:
    link = Link(service.url, service.authority)
    assert b"".join(link.stream(TAR, SIZE)) == CONTENT
    link.report({"host": "h", "run": "r", "stage": "hello"})
    assert service.last().stage == "hello"


def test_another_authority_is_not_believed(service: Service) -> None:
    with pytest.raises(Failed, match="not the one"):
        Link(service.url, "0" * 64)


def test_a_server_that_shows_the_authority_and_is_not_its_is_not_believed(
    service: Service, tmp_path: Path
) -> None:
    """Whoever stands between can hand out the true ca.pem, and has not its key."""
    (tmp_path / "other").mkdir()
    stranger = Service(tmp_path / "other", tmp_path / TAR, here="127.0.0.1")
    stranger.files["ca.pem"] = service.files["ca.pem"]
    try:
        link = Link(stranger.url, service.authority)
        with pytest.raises(Failed, match="certificate is not good"):
            link.get("order")
    finally:
        stranger.close()


def test_a_certificate_for_another_name_is_not_believed(service: Service) -> None:
    link = Link(service.url.replace("127.0.0.1", "localhost"), service.authority)
    with pytest.raises(Failed, match="certificate is not good"):
        link.get("order")


def test_nothing_goes_over_plain_http(service: Service) -> None:
    with pytest.raises(Failed, match="TLS"):
        Link(service.url.replace("https", "http"), service.authority)


def test_a_download_goes_on_where_it_broke(service: Service) -> None:
    link = Link(service.url, service.authority)
    breaks = iter([True, True, False])
    service.interfere = lambda name: not (name.startswith("at ") and next(breaks, False))
    assert b"".join(link.stream(TAR, SIZE)) == CONTENT


def test_a_closed_window_is_an_end_at_once(service: Service) -> None:
    link = Link(service.url, service.authority)
    with pytest.raises(GoneError):
        link.get("order")


def test_a_service_that_is_away_is_waited_for_but_not_for_ever(service: Service) -> None:
    link = Link(service.url, service.authority, patience=1.5)
    service.files["order"] = b"{}"
    drops = iter([True])
    service.interfere = lambda _name: not next(drops, False)
    assert link.get("order") == b"{}"
    service.interfere = lambda _name: False
    with pytest.raises(Failed, match="away"):
        link.get("order")
