"""The file that a tenant and the operator sign at handover: HTML and PDF, French and English.

It shows what a `TenantView` holds, all of which its reader may see, and nothing else. The same view
of the same day gives the same bytes.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from chapelle import lazy
from chapelle.errors import InputError
from chapelle.model.acceptance import FAILED, NOT_MEASURED, Acceptance
from chapelle.model.tenant_view import Person, TenantView
from chapelle.report import handover_parts, pages
from chapelle.report.handover_words import Words, words

if TYPE_CHECKING:
    import weasyprint
else:
    weasyprint = lazy.library("weasyprint")

# For archives, with the structure that screen readers need. Source: ISO 19005-3, level A.
_VARIANT = "pdf/a-3a"

# In which evidence tells times.
_ZONE = "Europe/Paris"

# How a verdict is set off, where it is not that all is well.
_MARKS = {FAILED: "failed", NOT_MEASURED: "unmeasured"}

type Rules = Mapping[str, Sequence[str]]


def day(text: str | None) -> datetime.date:
    """The day that somebody typed; today in Paris where nobody typed one.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return datetime.datetime.now(ZoneInfo(_ZONE)).date()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            "This is no day.", where="--on", expected="a day such as 2026-12-01", found=repr(text)
        ) from error


def files(
    view: TenantView, languages: Sequence[str], rules: Rules, on: datetime.date
) -> Iterator[tuple[str, bytes]]:
    """The names of the files, and what is in them: a page and a PDF in each language.

    Arguments:
        view: what the tenant may see.
        languages: of `handover_words.LANGUAGES`.
        rules: the rules of the house by language.
        on: the day that the file is of.

    Raises:
        InputError: there is nothing to hand over.
    """
    if not view.racks:
        raise InputError(
            "The tenant has no racks; there is nothing to hand over.",
            where=f"tenant {view.slug} in NetBox",
            expected="racks of the tenant's, or units reserved for it",
            found="none",
        )
    for language in languages:
        page = html(view, language, rules[language], on)
        stem = f"handover-{view.slug}-{language}"
        yield f"{stem}.html", page.encode()
        yield f"{stem}.pdf", pdf(page)


def html(view: TenantView, language: str, rules: Sequence[str], on: datetime.date) -> str:
    """The file as one HTML page that needs nothing but itself; `language`: fr or en."""
    said = words(language)
    return (
        pages.environment()
        .get_template("handover.html")
        .render(view=view, w=said, parts=handover_parts, rules=rules, **_content(view, said, on))
    )


def pdf(page: str) -> bytes:
    """The page as a PDF without any time in it; nothing is fetched to make it."""
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=(), fail_on_errors=True)
    made: bytes | None = weasyprint.HTML(string=page, url_fetcher=nothing).write_pdf(
        pdf_variant=_VARIANT
    )
    return made or b""


def _content(view: TenantView, said: Words, on: datetime.date) -> dict[str, Any]:
    until = [rack.let_until for rack in view.racks if rack.let_until]
    held = [rack.held_until for rack in view.racks if rack.held_until]
    return {
        "references": ", ".join(view.references),
        "on": said.day(on),
        "until": _days(until, said),
        "held": _days(held, said),
        "partly": any(len(rack.let) < rack.units for rack in view.racks),
        "aisles": handover_parts.aisles(view),
        "power": said.kilowatts(sum(rack.contracted_watts or 0 for rack in view.racks)),
        "settings": list(handover_parts.settings(view, said)),
        "cords": [outlet for outlet in view.outlets if outlet.device],
        "people": [
            (view.tenant, [_person(p, said) for p in view.contacts]),
            (view.operator, [_person(p, said) for p in view.operator_contacts]),
        ],
        **_accepted(view.acceptance, said),
    }


def _accepted(made: Acceptance | None, said: Words) -> dict[str, Any]:
    """What the acceptance says: about itself, and each piece of its evidence."""
    if made is None:
        return {"verdict": said.acceptance["missing"], "about": [], "evidence": []}
    verdict = said.acceptance["accepted" if made.accepted else "refused"]
    words = said.acceptance
    return {
        "verdict": verdict,
        "about": [
            words["run"].format(run=made.run, when=_moment(made.finished)),
            *([words["lab"]] if made.target == "lab" else []),
        ],
        "evidence": [
            (
                said.areas.get(each.area, each.area),
                f"{each.item}: {each.what}",
                _MARKS.get(each.verdict, ""),
                said.verdicts[each.verdict],
                each.found,
                _moment(each.when),
            )
            for each in made.evidence
        ],
    }


def _moment(when: float) -> str:
    return f"{datetime.datetime.fromtimestamp(when, ZoneInfo(_ZONE)):%Y-%m-%d %H:%M}"


def _days(days: Sequence[datetime.date], said: Words) -> str:
    """The one day of all, or the first and the last."""
    ends = (min(days), max(days)) if days else ()
    return " \N{EN DASH} ".join(said.day(each) for each in dict.fromkeys(ends))


def _person(person: Person, said: Words) -> tuple[str, ...]:
    role = said.roles.get(person.role, person.role_name)
    return role, person.name, person.title, person.email, person.phone
