"""What the conformance suite asks of a switch under test, whatever its platform."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from switch_proxy import Proxy

from chapelle.drivers.switch.contract import Pending, Switch, SwitchError, Target
from chapelle.drivers.switch.registry import open_switch
from chapelle.model.switch import BgpPeer, Neighbour, Port, Vni


class Rig:
    """One switch under test; subclasses say how it is changed, spoilt, and looked into.

    `seconds` is what its revert is armed with when it shall fire, and `long` when not; `second` is
    how long a second of the device takes. The last six are what `facts` has;
    `handoff` is a session in a VRF, where the device has one.
    """

    target: Target
    serial: str
    hostname: str
    seconds: int
    long: int = 300
    second: float = 1.0
    neighbour: Neighbour
    peer: BgpPeer
    handoff: BgpPeer | None = None
    vni: Vni
    port: Port
    routes: str = "default"

    def changed(self, running: str) -> str:
        """A candidate that the device accepts, and that differs from what runs."""
        raise NotImplementedError

    def broken(self, running: str) -> tuple[str, str]:
        """A candidate with one line that the device does not know, and that line."""
        raise NotImplementedError

    def half(self, running: str) -> str:
        """A candidate of which the device refuses a part only when it is applied."""
        raise NotImplementedError

    def startup(self) -> str:
        """The startup configuration, read past the driver."""
        raise NotImplementedError

    def operator(self) -> AbstractContextManager[None]:
        """Somebody who is configuring the device meanwhile."""
        raise NotImplementedError

    def disk_full(self) -> AbstractContextManager[None]:
        """No place on the device for its startup configuration."""
        raise NotImplementedError

    def middle(self) -> None:
        """Wait until the device is in the middle of an `apply` or a `revert`."""
        raise NotImplementedError

    def slow(self) -> AbstractContextManager[None]:
        """A device that takes its time to apply."""
        return contextlib.nullcontext()

    def open(self, target: Target | None = None, transcripts: Path | None = None) -> Switch:
        """A session with it."""
        return open_switch(target or self.target, transcripts)

    def until_fired(self) -> None:
        """Wait until the revert that was just armed is over."""
        deadline = time.monotonic() + self.seconds * self.second + 20
        while time.monotonic() < deadline:
            with self.open() as switch:
                if switch.pending() is None:
                    return
            time.sleep(0.3)
        raise AssertionError("the revert does not fire")

    def until_running(self, text: str) -> None:
        """Wait until a configuration runs: a revert that has fired takes its time."""
        deadline = time.monotonic() + 20
        found = ""
        while time.monotonic() < deadline:
            with contextlib.suppress(SwitchError), self.open() as switch:
                found = switch.running()  # of a part that is down it says so
            if found == text:
                return
            time.sleep(0.3)
        assert found == text

    @contextlib.contextmanager
    def through_proxy(self, folder: Path) -> Iterator[tuple[Target, Proxy]]:
        """The same switch behind a wire that we can cut."""
        with Proxy(self.target) as proxy:
            known = Path(self.target.known_hosts).read_text().split(maxsplit=1)[1]
            hosts = folder / "known_hosts.proxy"
            hosts.write_text(f"[127.0.0.1]:{proxy.port} {known}")
            yield (
                msgspec.structs.replace(
                    self.target,
                    address="127.0.0.1",
                    port=proxy.port,
                    namespace="",
                    known_hosts=str(hosts),
                    timeout=4.0,
                ),
                proxy,
            )

    def armed(self, switch: Switch, name: str) -> Pending:
        """What it is armed with, which must be `name`."""
        pending = switch.pending()
        assert pending is not None
        assert pending.checkpoint == name
        assert 0 < pending.seconds <= self.long
        return pending


def new_key(path: Path) -> str:
    """Write a new private key; its public half as a line of known_hosts has it."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )


@contextlib.contextmanager
def at_a_terminal(
    target: Target, wire: object, lines: list[str], farewell: str = ""
) -> Iterator[None]:
    """A person with a terminal on the device, who has typed some lines and sits there."""
    client = paramiko.SSHClient()
    client.load_host_keys(target.known_hosts)
    client.connect(
        target.address,
        port=target.port,
        username=target.user,
        pkey=paramiko.PKey.from_path(target.key),
        allow_agent=False,
        look_for_keys=False,
        sock=wire,
    )
    channel = client.invoke_shell()
    reader = threading.Thread(target=_swallow, args=(channel,), daemon=True)
    reader.start()
    try:
        for line in lines:
            time.sleep(0.2)
            channel.sendall(f"{line}\n".encode())
        time.sleep(0.2)
        yield
        channel.sendall(f"{farewell}\n".encode())
        time.sleep(0.2)
    finally:
        client.close()
        reader.join(5)


def _swallow(channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError):
        while channel.recv(4096):
            pass
