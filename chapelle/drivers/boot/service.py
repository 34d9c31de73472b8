"""The boot service as a whole: it answers while somebody holds it, and only hosts with a window.

    with BootService(place, names, tell) as service, service.window(wanted, ...) as opened:
        ...  # switch the host on, and wait for its reports

Both close on every exit. When the controller is killed its servers die with it: HTTP is a thread of
it, and dnsmasq is kept by `keeper`.
"""

import asyncio
import contextlib
import datetime
import os
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from chapelle.drivers.boot import media
from chapelle.drivers.boot.certificate import Certificate
from chapelle.drivers.boot.configuration import Place
from chapelle.drivers.boot.dnsmasq import Dnsmasq
from chapelle.drivers.boot.heard import Listener
from chapelle.drivers.boot.opened import (
    MakeOrder,
    OnHeader,
    OnReport,
    Opened,
    Tell,
    Verified,
    Windows,
)
from chapelle.drivers.boot.web import Web
from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.boot import BootEvent, BootFile, BootWindow, Firmware

BACKLOG = 128
CLOSE_SECONDS = 15.0


class BootService:
    """DHCP, TFTP, HTTP and HTTPS for hosts with an open window.

    Arguments:
        place: where it works.
        names: the host of each MAC address that NetBox knows, in lower case; for what is told.
        tell: told of events, from threads of the service; it must be quick and never fail.
    """

    def __init__(self, place: Place, names: Mapping[str, str], tell: Tell) -> None:
        self._place = place
        self._tell = tell
        self._windows = Windows()
        self._verified = Verified()
        self._heard = Listener(names, self._window_of, tell)
        self._dnsmasq = Dnsmasq(place, self._heard.hear, self._lost)
        self._certificate = Certificate(place.address)
        self._web = Web(
            self._windows,
            pem=self._certificate.pem,
            digest=self._certificate.digest,
            finish=self.finish,
            verify=self._verified.check,
            tell=tell,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="boot", daemon=True)
        self._changing = threading.Lock()
        self._written: tuple[BootWindow, ...] = ()
        self._media: dict[Firmware, BootFile] = {}

    def __enter__(self) -> Self:
        """Start everything; nobody is answered yet.

        Raises:
            RefusedError: a program is missing, or we are not root.
            ChapelleError: something does not start.
        """
        try:
            self._dnsmasq.start()
            plain, secure = self._bound()
            context = self._certificate.context(self._place.run)
            self._thread.start()
            self._do(self._web.start(plain, secure, context))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._dnsmasq.stop()
        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                self._do(self._web.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSE_SECONDS)
        if not self._loop.is_running():
            self._loop.close()

    @contextlib.contextmanager
    def window(
        self,
        window: BootWindow,
        *,
        order: MakeOrder,
        on_report: OnReport,
        on_header: OnHeader = lambda _serial, _header: None,
    ) -> Iterator[Opened]:
        """Let a host boot while this lasts.

        Arguments:
            window: what it may load.
            order: makes the order when it is fetched.
            on_report: told of each report; it says whether the host is finished.
            on_header: told of each disk's header.

        Raises:
            InputError: the window is not fit for use.
            RefusedError: another one has its host, address or MAC address; a file is not what it
                has to be; or its time is over.
            ChapelleError: dnsmasq does not take it.
        """
        window.validate()
        self._place.require_served(window)
        left = (window.expires - datetime.datetime.now(datetime.UTC)).total_seconds()
        if left <= 0:
            raise RefusedError(
                "A boot window is over before it is opened.",
                where=f"host {window.host}",
                expected="a time to come",
                found=window.expires.isoformat(),
            )
        opened = Opened(
            window,
            server=self._web.plain,
            order=order,
            on_report=on_report,
            on_header=on_header,
            tell=self._tell,
        )
        for file in window.all_files:
            self._verified.check(file)
        self._windows.add(opened)
        timer = threading.Timer(left, self._expire, [opened])
        timer.daemon = True
        try:
            self._publish(window)
            timer.start()
            yield opened
        finally:
            timer.cancel()
            self._windows.remove(opened)
            with contextlib.suppress(ChapelleError):  # it answers nobody when it has ended
                self._publish(window)

    def medium(self, firmware: Firmware) -> BootFile:
        """What a host is to load iPXE from by virtual media; it is there while the service is.

        Raises:
            RefusedError: a program that makes it is missing.
            ChapelleError: it cannot be made.
        """
        with self._changing:
            if firmware not in self._media:
                self._media[firmware] = media.made(firmware, self._place.run)
            return self._media[firmware]

    def finish(self, opened: Opened) -> None:
        """Nothing is booted in this window any more; what its host still says is heard.

        Raises:
            ChapelleError: dnsmasq has ended.
        """
        opened.finish()
        self._publish(opened.window)

    def _expire(self, opened: Opened) -> None:
        opened.tell("expired", f"its boot window is over since {opened.window.expires}")
        self._windows.remove(opened)
        with contextlib.suppress(ChapelleError):
            self._publish(opened.window)

    def _publish(self, changed: BootWindow) -> None:
        """Tell dnsmasq of the windows that are open now."""
        with self._changing:
            self._heard.forget(changed.macs)
            now = [(each.window, each.url) for each in self._windows.answered]
            self._dnsmasq.write(now, self._written)
            self._dnsmasq.reload()
            self._written = tuple(window for window, _ in now)

    def _window_of(self, mac: str) -> tuple[str, Firmware] | None:
        opened = self._windows.by_mac(mac)
        return (opened.window.host, opened.window.firmware) if opened else None

    def _lost(self, last_words: str) -> None:
        self._tell(BootEvent(kind="broken", message=f"dnsmasq has ended: {last_words}"))

    def _bound(self) -> tuple[socket.socket, socket.socket]:
        """Two listening sockets in the namespace; they stay in it, whoever uses them."""
        namespace = self._place.namespace
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if namespace is not None:
                there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
                os.setns(there, os.CLONE_NEWNET)
                os.close(there)
            return self._listen(self._place.http_port), self._listen(self._place.https_port)
        finally:
            os.setns(home, os.CLONE_NEWNET)
            os.close(home)

    def _listen(self, port: int) -> socket.socket:
        try:
            return socket.create_server((self._place.address, port), backlog=BACKLOG)
        except OSError as error:
            raise ChapelleError(
                "The boot service cannot be reached at its address.",
                where=f"{self._place.address}, TCP port {port}",
                expected="an address of ours, and a port that nobody has",
                found=error.strerror or str(error),
            ) from error

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CLOSE_SECONDS)
