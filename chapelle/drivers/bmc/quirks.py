"""Reads `inventory/hardware-quirks.yml`, strictly: a word that means nothing is a mistake."""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from chapelle import strict
from chapelle.model.hardware import BootMode, BootSource, Quirks, Setting
from chapelle.strict.problems import Problem, ProblemsError

_REMEDY = "mend the file; docs/bmc.md says what it may hold"
_SAID = ("manufacturer", "model")


def read(path: Path) -> Quirks:
    """The quirks of a file.

    Raises:
        InputError: it cannot be read, or something in it means nothing; all of it is said.
    """
    quirks, problems = strict.read(path, Quirks)
    problems = problems or [
        Problem(path.name, place, expected, found)
        for place, expected, found in (*_in_families(quirks), *_in_models(quirks))
    ]
    if problems:
        raise ProblemsError("What is known of hardware", problems, _REMEDY)
    known: Quirks = quirks
    return known


def _in_families(quirks: Quirks) -> Iterable[tuple[str, str, str]]:
    for name, family in quirks.families.items():
        where = f"families.{name}"
        yield from _unknown(f"{where}.targets", family.targets, get_args(BootSource))
        yield from _unknown(f"{where}.modes", family.modes, get_args(BootMode))
        yield from _unknown(f"{where}.settings", family.settings, get_args(Setting))
        for setting, translation in family.settings.items():
            if (translation.resource == "bios") != bool(translation.attribute):
                wanted = "an attribute, with resource bios and no other"
                yield f"{where}.settings.{setting}", wanted, repr(translation.attribute)


def _in_models(quirks: Quirks) -> Iterable[tuple[str, str, str]]:
    seen = set()
    for number, model in enumerate(quirks.models):
        where = f"models[{number}]"
        name = (model.manufacturer, model.model)
        if name in seen:
            yield where, "each model once", " ".join(name)
        seen.add(name)
        yield from _unknown(f"{where}.says", model.says, _SAID)
        family = quirks.families.get(model.family)
        if family is None:
            yield f"{where}.family", f"one of {', '.join(quirks.families)}", repr(model.family)
            continue
        if model.boot and model.boot not in family.targets:
            yield f"{where}.boot", f"one of {', '.join(family.targets)}", repr(model.boot)
        for setting, value in model.wanted.items():
            translation = family.settings.get(setting)
            place = f"{where}.wanted.{setting}"
            if translation is None:
                yield place, f"one of {', '.join(family.settings)}", repr(setting)
            elif value not in translation.values:
                yield place, f"one of {', '.join(translation.values)}", repr(value)


def _unknown(
    where: str, words: Iterable[str], known: Iterable[str]
) -> Iterable[tuple[str, str, str]]:
    known = tuple(known)
    for word in words:
        if word not in known:
            yield f"{where}.{word}", f"one of {', '.join(known)}", f"the key {word!r}"
