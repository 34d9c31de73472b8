"""A switch in memory that keeps the contract of a driver: for what goes wrong at one exact instant.

It goes back by itself when its time has come, whoever looks, and takes `going_back` seconds for it.
`half` is how often it takes only half of a candidate. `flaps` are the states that it shows, the
last of them for good. `meanwhile` is what happens before a method of the contract is called, once.
A fault is set for a method, before or after that takes effect. What real switches do is tested on
real switches.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from chapelle.drivers.switch.contract import Pending, SwitchError, Target, UnreachableError
from chapelle.fabric import ownership
from chapelle.model.switch import Facts, Identity

OLD = """frr defaults datacenter
hostname leaf-1
!
interface swp1
 description old
exit
!
ip route 192.0.2.0/24 blackhole
!
end
"""
SECTIONS = """frr defaults datacenter
!
interface swp1
 description new
exit
!
"""
NEW = ownership.merge("frr", OLD, SECTIONS)

TARGET = Target(
    name="leaf-1", platform="frr", address="192.0.2.1", user="u", key="k", known_hosts="h"
)


class Device:
    """The switch; `faults` maps a method to (before or after, the error it raises, once)."""

    def __init__(self) -> None:
        self.running = OLD
        self.startup = OLD
        self.serial = "S1"
        self.checkpoints: dict[str, str] = {}
        self.armed: tuple[str, float] | None = None
        self.faults: dict[str, tuple[str, Exception]] = {}
        self.away_until = 0.0
        self.half = 0
        self.going_back = 0.0
        self.flaps: list[Facts] = []
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.state = Facts(identity=Identity(serial="S1", hostname="leaf-1"))
        self.calls: list[str] = []

    def tick(self) -> None:
        """Let the switch do what it does by itself."""
        if self.armed and time.monotonic() >= self.armed[1] + self.going_back:
            self.running = self.checkpoints[self.armed[0]]
            self.armed = None

    def connect(self, _target: Target) -> "Session":
        self.tick()
        if time.monotonic() < self.away_until:
            raise UnreachableError("nobody answers")
        return Session(self)

    def is_old_or_new(self) -> bool:
        self.tick()
        return all(
            any(not ownership.diff("frr", text, whole) for whole in (OLD, NEW))
            for text in (self.running, self.startup)
        )


class Session:
    def __init__(self, device: Device) -> None:
        self._device = device

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        device = self._device
        work = getattr(self, f"_{name}")

        def call(*arguments: Any) -> Any:
            device.meanwhile.pop(name, lambda: None)()
            device.tick()
            if time.monotonic() < device.away_until:
                raise UnreachableError("the session is lost")
            device.calls.append(name)
            when, error = device.faults.get(name, ("", None))
            if error and when == "before":
                del device.faults[name]
                raise error
            result = work(*arguments)
            if error:
                del device.faults[name]
                raise error
            return result

        return call

    def _identify(self) -> Identity:
        return Identity(serial=self._device.serial, hostname="leaf-1")

    def _running(self) -> str:
        return self._device.running

    def _check(self, candidate: str) -> None:
        pass

    def _diff(self, candidate: str) -> str:
        return ownership.diff("frr", self._device.running, candidate)

    def _checkpoint(self, name: str) -> str:
        self._device.checkpoints[name] = self._device.running
        return self._device.running

    def _arm(self, name: str, seconds: int) -> None:
        if self._device.armed:
            raise SwitchError("armed already")
        self._device.armed = (name, time.monotonic() + seconds)

    def _apply(self, candidate: str) -> None:
        assert self._device.armed, "applied without a way back"
        if self._device.half:
            self._device.half -= 1
            self._device.running = OLD.replace(" description old\n", "")
            raise SwitchError("% Unknown command")
        self._device.running = candidate

    def _confirm(self, name: str) -> None:
        if not self._device.armed or self._device.armed[0] != name:
            raise SwitchError("nothing is armed")
        if time.monotonic() >= self._device.armed[1]:
            raise SwitchError("it has just fired")
        self._device.armed = None

    def _revert(self, name: str) -> None:
        self._device.running = self._device.checkpoints[name]
        self._device.armed = None

    def _persist(self) -> None:
        assert not self._device.armed, "persisted what is not confirmed"
        self._device.startup = self._device.running

    def _pending(self) -> Pending | None:
        if self._device.armed is None:
            return None
        name, fires = self._device.armed
        return Pending(checkpoint=name, seconds=max(fires - time.monotonic(), 0.0))

    def _facts(self) -> Facts:
        if len(self._device.flaps) > 1:
            return self._device.flaps.pop(0)
        return self._device.flaps[0] if self._device.flaps else self._device.state
