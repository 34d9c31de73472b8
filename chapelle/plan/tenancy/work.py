"""What the parts of a plan for a tenant share: the draft, the pools, and whose things are whose."""

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import Draft
from chapelle.model.references import MODELS, record_type
from chapelle.model.tenancy import REQUEST, Request
from chapelle.plan.tenancy.pools import Free, site_of


class Work:
    """A plan in the making for one request.

    Arguments:
        dc: the datacentre as it is.
        request: what is asked for.
        today: the day on which reservations and quarantine count.
    """

    def __init__(self, dc: Datacentre, request: Request, today: datetime.date) -> None:
        self.dc = dc
        self.request = request
        self.today = today
        self.site = site_of(dc)
        self.free = Free(dc, self.site, today)
        self.draft = Draft(dc.content)
        self.tenant = 0
        self.switches: set[str] = set()
        self.words: list[str] = []

    @property
    def who(self) -> str:
        """The tenant and its request, as errors name them."""
        return f"{self.request.tenant.name} ({self.request.reference})"

    def create(self, list_name: str, **fields: Any) -> int:
        """Make an object; where its kind can name the request, it does."""
        if "custom_fields" in record_type(list_name).__struct_fields__:
            named = {REQUEST: self.request.reference}
            fields["custom_fields"] = named | fields.get("custom_fields", {})
        return self.draft.create(list_name, **fields)

    def own(self, list_name: str, find: Callable[[Any], bool], what: str) -> Any:
        """The object that is the tenant's already, or None where there is none.

        Raises:
            RefusedError: it is somebody else's.
        """
        found = next((each for each in getattr(self.dc.content, list_name) if find(each)), None)
        if found is not None and found.tenant != self.tenant:
            raise self.mixed(what, self.holder(found), f"{MODELS[list_name]} {found.id}")
        return found

    def holder(self, record: Any) -> str:
        """Whose an object is, for people; with the request that it was made for."""
        tenant = self.dc.tenants.get(record.tenant or 0)
        named = (getattr(record, "custom_fields", None) or {}).get(REQUEST)
        name = tenant.name if tenant else "nobody"
        return f"{name} ({named})" if named else name

    def mixed(self, what: str, other: str, where: str) -> RefusedError:
        """Two tenants would be mixed: the error that says so."""
        return RefusedError(
            f"{what} is not {self.request.tenant.name}'s; nothing was changed.",
            where=f"{where} in NetBox",
            expected=f"something free, or of {self.who}",
            found=f"it is of {other}",
            remedy="ask for another in the request, or have the other side give it back",
        )


def by_slug[T: r.Named](items: Iterable[T], slug: str, what: str) -> T:
    """The one of that slug.

    Raises:
        InputError: there is none.
    """
    known = {item.slug: item for item in items}
    if slug not in known:
        raise InputError(
            f"NetBox has no {what} {slug}.",
            where="NetBox",
            expected=f"one of {', '.join(sorted(known)) or '(none)'}",
            found=repr(slug),
            remedy="name another, or bring the design into NetBox: invoke netbox.seed",
        )
    return known[slug]
