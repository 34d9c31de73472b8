"""One session with one BMC: what operators and runs ask of it.

A change is read back: a BMC that takes a request has not done it yet, and some never do. Power is
never switched blindly: the state is read, and a request whose answer is lost is not sent again
before the state says that it was lost, too.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from chapelle import lazy
from chapelle.drivers.bmc import wire
from chapelle.drivers.bmc.contract import (
    Override,
    Target,
    UnreachableError,
    UnsettledError,
    senseless,
    unsettled,
)
from chapelle.model.hardware import Disk, Hardware, NetworkPort

if TYPE_CHECKING:
    import sushy
else:
    sushy = lazy.library("sushy")

Power = Literal["on", "off"]
Value = str | bool | int

POLL_SECONDS = 0.5
LONGEST_POLL = 5.0


class Bmc:
    """A session with a BMC. Use it as a context manager; nothing is left open behind it.

    Every method may raise UnreachableError, StrangerError, or BmcError for an answer that makes no
    sense.

    Raises:
        UnreachableError: it does not answer.
        StrangerError: its certificate or our login is wrong.
        BmcError: it has no system, or several.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._root = wire.connect(target)
        self.path = self._sensibly(self._root.get_system).path

    def _system(self) -> Any:
        """The server's resource as it is now.

        sushy's own refresh asks again for all that was ever asked of it: a dozen answers for one.
        """
        return self._sensibly(lambda: self._root.get_system(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._root._conn.close()

    # -- what it is -------------------------------------------------------------------------------

    def hardware(self) -> Hardware:
        """What the server is made of, as its BMC sees it now."""
        return self._sensibly(self._hardware)

    def _hardware(self) -> Hardware:
        system = self._system()
        names = self.target.model.ports
        ports = [
            NetworkPort(
                name=names.get(port.identity or "", port.identity or ""),
                mac=(port.permanent_mac_address or port.mac_address or "").upper(),
            )
            for port in system.ethernet_interfaces.get_members()
        ]
        disks = [
            Disk(
                serial=(drive.serial_number or "").strip(),
                name=drive.name or drive.identity,
                size=drive.capacity_bytes or 0,
                model=drive.model or "",
            )
            for storage in system.storage.get_members()
            for drive in storage.drives
        ]
        chips = [
            chip
            for chip in system.processors.get_members()
            if chip.processor_type in {None, sushy.PROCESSOR_TYPE_CPU}
        ]
        return Hardware(
            source="bmc",
            serial=(system.serial_number or "").strip(),
            manufacturer=(system.manufacturer or "").strip(),
            model=(system.model or "").strip(),
            ports=tuple(sorted(ports)),
            disks=tuple(sorted(disks)),
            processors=len(chips),
            processor=(chips[0].model or "").strip() if chips else "",
            memory=system.memory_summary.size_gib or 0 if system.memory_summary else 0,
            firmware=_firmware(system),
        )

    # -- power ------------------------------------------------------------------------------------

    def power(self) -> Power:
        """Whether the server is on. One that is on its way is what it was until it gets there."""
        state = self._system().power_state
        if state in {sushy.PowerState.ON, sushy.PowerState.POWERING_OFF}:
            return "on"
        if state in {sushy.PowerState.OFF, sushy.PowerState.POWERING_ON}:
            return "off"
        raise senseless(self.target, "PowerState On or Off", str(state))

    def switch(self, wanted: Power, *, graceful: bool = False) -> bool:
        """See that the server is on or off. Returns whether it was not.

        Arguments:
            wanted: on or off.
            graceful: ask its operating system to shut down, and wait longer.

        Raises:
            UnsettledError: it is not what was wanted when the time is over.
        """
        if self.power() == wanted:
            return False
        reset = self.target.family.reset
        kind = reset.on if wanted == "on" else reset.graceful if graceful else reset.off
        seconds = self.target.family.seconds
        limit = seconds.shutdown if graceful and wanted == "off" else seconds.power
        try:
            self._reset(kind)
        except UnreachableError:
            # Whether it was heard is not known: the state says it, or it is asked once more.
            if not self._becomes(lambda: self.power() == wanted, limit / 2):
                self._reset(kind)
        if not self._becomes(lambda: self.power() == wanted, limit):
            raise UnsettledError(
                f"The power of {self.target.host} does not become {wanted}.",
                where=self.target.where,
                expected=f"{wanted} within {limit} s after {kind}",
                found=self.power(),
                remedy="look at its console; --action=off does not ask the operating system",
            )
        return True

    def cycle(self) -> None:
        """Off without asking, and on again: two steps of which each can be seen to be done."""
        self.switch("off")
        self.switch("on")

    def _reset(self, kind: str) -> None:
        system = self._system()
        self._sensibly(lambda: system.reset_system(sushy.ResetType(kind)))

    # -- where it boots from ----------------------------------------------------------------------

    def override(self) -> Override:
        """What the server boots from next, as the BMC has it."""
        boot = self._system().boot
        family = self.target.family
        if boot.enabled in {None, sushy.BootSourceOverrideEnabled.DISABLED} or not boot.target:
            return Override(source=None)
        once = boot.enabled == sushy.BootSourceOverrideEnabled.ONCE
        source: Any = _named(family.targets, boot.target.value)
        mode: Any = _named(family.modes, boot.mode.value if boot.mode else None)
        return Override(source=source, mode=mode, once=once)

    def boot_next(self, override: Override) -> None:
        """Set what the server boots from next, and read it back.

        Raises:
            BmcError: the model knows no such source or mode.
            UnsettledError: the BMC took it, and says something else afterwards.
        """
        family = self.target.family
        enabled = sushy.BootSourceOverrideEnabled
        if override.source is None:
            arguments = {"target": sushy.BootSource.NONE, "enabled": enabled.DISABLED}
        else:
            arguments = {
                "target": sushy.BootSource(self._word(family.targets, override.source)),
                "enabled": enabled.ONCE if override.once else enabled.CONTINUOUS,
            }
        if override.mode is not None:
            mode = self._word(family.modes, override.mode)
            arguments["mode"] = sushy.BootSourceOverrideMode(mode)
        system = self._system()
        self._sensibly(lambda: system.set_system_boot_options(**arguments))
        kept = self.override()
        wanted = Override(
            source=override.source,
            mode=override.mode or kept.mode,
            once=override.once and override.source is not None,
        )
        if kept != wanted:
            raise unsettled(self.target, "what it boots from next", override.words, kept.words)

    def insert(self, image: str) -> str:
        """Put an image into the server's virtual CD drive, and read it back.

        Returns:
            The image that was there before, and was taken out; empty if there was none.

        Raises:
            BmcError: it has no such drive.
            UnsettledError: the drive is not emptied, or is empty afterwards.
        """
        drive = self._drive()
        before = self._emptied(drive)
        self._sensibly(lambda: drive.insert_media(image, inserted=True, write_protected=True))
        if not self._drive_becomes(drive, lambda: drive.inserted and drive.image == image):
            raise unsettled(self.target, "the image for its CD drive", image, _content(drive))
        return before

    def eject(self) -> str:
        """Empty the server's virtual CD drive, and read it back; one that is empty stays so.

        Returns:
            The image that was there; empty if there was none.

        Raises:
            BmcError: it has no such drive.
            UnsettledError: something is in it afterwards.
        """
        return self._emptied(self._drive())

    def _emptied(self, drive: Any) -> str:
        if not drive.inserted:
            return ""
        before = _content(drive)
        self._sensibly(drive.eject_media)
        if not self._drive_becomes(drive, lambda: not drive.inserted):
            raise unsettled(
                self.target, "the order to empty its CD drive", "nothing", _content(drive)
            )
        return before

    def _drive_becomes(self, drive: Any, true: Callable[[], bool]) -> bool:
        """Whether it is so in time; a BMC may take a moment to load an image."""

        def done() -> bool:
            self._sensibly(lambda: drive.refresh(force=True))
            return true()

        return self._becomes(done, self.target.family.seconds.answer)

    def _drive(self) -> Any:
        def drives() -> list[Any]:
            found = []
            system = self._system()
            for holder in (system, *system.managers):  # newer firmware, older firmware
                with suppress(sushy.exceptions.MissingAttributeError):
                    found += holder.virtual_media.get_members()
            return found

        kinds = {sushy.VirtualMediaType.CD, sushy.VirtualMediaType.DVD}
        for drive in self._sensibly(drives):
            if kinds & set(drive.media_types):
                return drive
        raise senseless(self.target, "a virtual drive for CDs", "none")

    # -- settings of the firmware -----------------------------------------------------------------

    def settings(self) -> dict[str, Value | None]:
        """The settings that hold now, by our names and words; None for one that it has not.

        A value that has no word of ours is given as it is.
        """
        family, system = self.target.family, self._system()
        attributes: Mapping[str, Value] = {}
        if any(each.resource == "bios" for each in family.settings.values()):
            attributes = self._sensibly(lambda: system.bios.attributes) or {}
        found: dict[str, Value | None] = {}
        for name, translation in family.settings.items():
            if translation.resource == "secure-boot":
                value: Value | None = self._sensibly(lambda: system.secure_boot.enabled)
            else:
                value = attributes.get(translation.attribute)
            found[name] = None if value is None else _named(translation.values, value) or value
        return found

    def set(self, wanted: Mapping[str, str]) -> None:
        """Ask for settings, by our names and words. They hold after the next restart."""
        family, system = self.target.family, self._system()
        attributes: dict[str, Value] = {}
        for name, word in wanted.items():
            translation = family.settings[name]
            if translation.resource == "secure-boot":
                enable = partial(system.secure_boot.set_enabled, bool(translation.values[word]))
                self._sensibly(enable)
            else:
                attributes[translation.attribute] = translation.values[word]
        if attributes:
            self._sensibly(lambda: system.bios.set_attributes(attributes))

    def settle(self, wanted: Mapping[str, str]) -> dict[str, Value | None]:
        """Restart the server until its settings are what was asked for; its power is as before.

        Returns:
            What holds now; that which differs from `wanted` did not take in the time that the
            family allows.
        """
        before = self.power()
        now: dict[str, Value | None] = {}

        def done() -> bool:
            nonlocal now
            now = self.settings()
            return all(now.get(name) == word for name, word in wanted.items())

        self.switch("off")
        self.switch("on")
        self._becomes(done, self.target.family.seconds.settings)
        if before == "off":
            self.switch("off")
        return now

    # -- what sushy has nothing for ---------------------------------------------------------------

    def ask(self, path: str) -> dict[str, Any]:
        """A resource as it is."""
        found: dict[str, Any] = self._root._conn.get(path).json()
        return found

    def change(self, path: str, values: Mapping[str, Value]) -> None:
        """Set properties of a resource."""
        self._root._conn.patch(path, data=dict(values))

    def act(self, path: str, values: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Have an action done, which may take so long. Returns what it answers in JSON."""
        post = partial(self._root._conn.post, path, data=dict(values))
        done = self._sensibly(partial(post, blocking=True, timeout=seconds))
        with suppress(ValueError):
            return dict(done.json())
        return {}

    # -- helpers ----------------------------------------------------------------------------------

    def _becomes(self, done: Callable[[], bool], seconds: float) -> bool:
        """Whether something becomes true in time; a BMC that is away meanwhile may come back."""
        deadline = time.monotonic() + seconds
        pause = POLL_SECONDS
        while True:
            try:
                if done():
                    return True
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() + pause > deadline:
                return False
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_POLL)

    def _sensibly[T](self, action: Callable[[], T]) -> T:
        """Ask; what sushy cannot make sense of is an error of ours, with the place."""
        try:
            return action()
        except sushy.exceptions.HTTPError as error:
            raise wire.refused(self.target, error) from error
        except sushy.exceptions.SushyError as error:
            raise senseless(
                self.target, "an answer by DSP0268", " ".join(str(error).split())
            ) from error

    def _word(self, words: Mapping[str, str], ours: str) -> str:
        if ours not in words:
            raise senseless(self.target, f"one of {', '.join(words)}", ours)
        return words[ours]


def _firmware(system: Any) -> dict[str, str]:
    found = {"bios": system.bios_version}
    for manager in system.managers[:1]:
        found["bmc"] = manager.firmware_version
    return {name: version for name, version in found.items() if version}


def _content(drive: Any) -> str:
    """What is in a drive, as the BMC names it."""
    if not drive.inserted:
        return "nothing"
    return str(drive.image or drive.image_name or "something without a name")


def _named[T](words: Mapping[str, T], theirs: object) -> str | None:
    """Our word for theirs, if there is one."""
    return next((ours for ours, word in words.items() if word == theirs), None)
