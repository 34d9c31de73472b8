"""What hosts that boot load and say over HTTP.

| request below `/<token>/` | over, with the token of | what |
|---|---|---|
| `GET ipxe`, `GET boot.efi` | HTTP, the window | the script of a boot; iPXE for UEFI HTTP boot |
| `GET boot.iso` | HTTP, the window, from the BMC | what its CD drive is to hold; ranges |
| `GET kernel`, `GET initrd` | HTTP, the boot | what iPXE loads |
| `GET ca.pem` | HTTPS, the boot | our certificate; the kernel's command line has its SHA-256 |
| `GET order` | HTTPS, the boot | the order, once a boot |
| `GET <path>` | HTTPS, the boot | a file of the window; ranges as RFC 9110 has them |
| `POST report`, `POST header/<serial>` | HTTPS, the boot | the answer is 204 |

A token is good from the host's own address only, but for `boot.iso`. All else is refused, and told.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from chapelle.drivers.boot.configuration import LOADERS
from chapelle.drivers.boot.opened import MEDIUM, Opened, Part, Refusal, Tell, Windows
from chapelle.drivers.boot.script import script
from chapelle.errors import RefusedError
from chapelle.model.boot import BootEvent, BootFile

LARGEST_REPORT = 1 << 20
# A LUKS2 header is 16 MiB (cryptsetup, LUKS2 on-disk format), and a backup has some more.
LARGEST_HEADER = 64 << 20
SERIAL = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A machine that lost its power must not keep a connection for ever.
QUIET_SECONDS = 30.0
# Over TLS a file is read piece by piece; of so many bytes each.
CHUNK = 1 << 20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request, Opened], Awaitable[web.StreamResponse]]


class Web:
    """The two servers; `start` and `stop` belong to one event loop."""

    def __init__(
        self,
        windows: Windows,
        *,
        pem: bytes,
        digest: str,
        finish: Callable[[Opened], None],
        verify: Callable[[BootFile], None],
        tell: Tell,
    ) -> None:
        self._windows = windows
        self._finish = finish
        self._verify = verify
        self._pem = pem
        self._digest = digest
        self._tell = tell
        self._runners: list[web.AppRunner] = []
        self.plain = ""
        self.secure = ""

    async def start(
        self, plain: socket.socket, secure: socket.socket, context: ssl.SSLContext
    ) -> None:
        """Serve on two sockets that are bound already."""
        loaded = web.Application(middlewares=[self._refusals])
        loaded.add_routes(
            [
                web.get("/{token}/ipxe", self._of("token", self._script)),
                web.get("/{token}/boot.efi", self._of("token", self._loader)),
                web.get(f"/{{token}}/{MEDIUM}", self._of("medium", self._medium)),
                web.get("/{token}/kernel", self._of("session", self._kernel)),
                web.get("/{token}/initrd", self._of("session", self._kernel)),
            ]
        )
        fetched = web.Application(middlewares=[self._refusals], client_max_size=LARGEST_HEADER)
        fetched.add_routes(
            [
                web.get("/{token}/ca.pem", self._of("session", self._certificate)),
                web.get("/{token}/order", self._of("session", self._order), allow_head=False),
                web.get("/{token}/{path:.+}", self._of("session", self._file)),
                web.post("/{token}/report", self._of("session", self._report)),
                web.post("/{token}/header/{serial}", self._of("session", self._header)),
            ]
        )
        for application, bound, secured in ((loaded, plain, None), (fetched, secure, context)):
            runner = web.AppRunner(
                application,
                access_log=None,
                keepalive_timeout=QUIET_SECONDS,
                shutdown_timeout=0,
            )
            await runner.setup()
            self._runners.append(runner)
            await web.SockSite(runner, bound, ssl_context=secured).start()
            address, port = bound.getsockname()[:2]
            if secured:
                self.secure = f"https://{address}:{port}"
            else:
                self.plain = f"http://{address}:{port}"

    async def stop(self) -> None:
        """End at once; who is in mid-download notices."""
        for runner in self._runners:
            for connection in runner.server.connections if runner.server else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()

    @web.middleware
    async def _refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell of what is refused; the one who asked learns no more than the number."""
        try:
            return await handler(request)
        except Refusal as error:
            message = f"{request.remote}: {error}; refused"
            self._tell(BootEvent(kind="refused", message=message))
            return web.Response(status=error.status)
        except web.HTTPException as error:
            message = f"{request.remote}: a request that is none of ours; refused"
            self._tell(BootEvent(kind="refused", message=message))
            return web.Response(status=error.status)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the run's own code raised)
            # Not its text: what it was making may be secret.
            message = f"{request.remote}: what it asked for failed with {type(error).__name__}"
            self._tell(BootEvent(kind="broken", message=message))
            return web.Response(status=500)

    def _of(self, part: Part, answer: Answer) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            token = request.match_info["token"]
            return await answer(request, self._windows.by_token(token, part, str(request.remote)))

        return handle

    async def _script(self, _request: web.Request, opened: Opened) -> web.StreamResponse:
        session = opened.begin()
        text = script(
            url=f"{self.plain}/{session}",
            orders=f"{self.secure}/{session}",
            authority=self._digest,
            command_line=opened.window.command_line,
        )
        return web.Response(text=text, headers={"Cache-Control": "no-store"})

    async def _loader(self, _request: web.Request, opened: Opened) -> web.StreamResponse:
        if opened.finished:
            raise Refusal(410, "it is finished, and boots from the network again")
        headers = {"Content-Type": "application/efi"}
        return web.FileResponse(LOADERS["uefi"], headers=headers)

    async def _medium(self, _request: web.Request, opened: Opened) -> web.StreamResponse:
        return await self._send(opened, opened.medium())

    async def _kernel(self, request: web.Request, opened: Opened) -> web.StreamResponse:
        return await self._send(opened, opened.file(request.path.rpartition("/")[2], "loaded"))

    async def _file(self, request: web.Request, opened: Opened) -> web.StreamResponse:
        return await self._send(opened, opened.file(request.match_info["path"], "fetched"))

    async def _send(self, opened: Opened, file: BootFile) -> web.StreamResponse:
        try:
            await asyncio.to_thread(self._verify, file)
        except RefusedError as error:
            opened.tell("corrupt", f"{file.path} is not what it was: {error.found}")
            return web.Response(status=500)
        headers = {"Content-Type": "application/octet-stream"}
        return web.FileResponse(file.path, headers=headers, chunk_size=CHUNK)

    async def _certificate(self, _request: web.Request, _opened: Opened) -> web.StreamResponse:
        return web.Response(body=self._pem, content_type="application/x-pem-file")

    async def _order(self, request: web.Request, opened: Opened) -> web.StreamResponse:
        opened.claim_order()
        try:
            order = await asyncio.to_thread(opened.order)
            response = web.Response(
                body=order, content_type="application/json", headers={"Cache-Control": "no-store"}
            )
            await response.prepare(request)
            await response.write_eof()
        except BaseException:
            opened.release_order()
            raise
        opened.tell("order", "has its order")
        return response

    async def _report(self, request: web.Request, opened: Opened) -> web.StreamResponse:
        if (request.content_length or 0) > LARGEST_REPORT:
            raise Refusal(413, "its report is too large")
        if await asyncio.to_thread(opened.on_report, await request.read()):
            await asyncio.to_thread(self._finish, opened)
        return web.Response(status=204)

    async def _header(self, request: web.Request, opened: Opened) -> web.StreamResponse:
        serial = request.match_info["serial"]
        if not SERIAL.fullmatch(serial):
            raise Refusal(400, "it sent a header of a disk without a name")
        await asyncio.to_thread(opened.on_header, serial, await request.read())
        return web.Response(status=204)
