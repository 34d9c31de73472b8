"""NetBox's objects as changes see them: read, found by what tells them apart, written by ETag."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
import requests

from chapelle.errors import RefusedError
from chapelle.model.change import TERMINATIONS, Fields, fields_of, part
from chapelle.model.records import ENDPOINTS
from chapelle.model.references import MODELS
from chapelle.netbox.access import Json, Query, Session, get_json, require, said
from chapelle.netbox.decoding import decode_page, wanted_fields
from chapelle.netbox.reading import read_some

_SLUG = {"slug": "slug"}
_NAME = {"name": "name"}
_IN_DEVICE = {"device_id": "device", "name": "name"}

# For each list whose objects changes may make: what tells them apart, as filters of NetBox's list
# and the fields that they look at. See chapelle.netbox.seed.kinds.
KEYS: dict[str, Mapping[str, str]] = {
    "tenants": _SLUG,
    "contacts": _NAME,
    "contact_assignments": {
        "object_type": "object_type",
        "object_id": "object_id",
        "contact_id": "contact",
        "role_id": "role",
    },
    "rack_reservations": {"rack_id": "rack"},
    "devices": {"name": "name", "site_id": "site"},
    "interfaces": _IN_DEVICE,
    "power_ports": _IN_DEVICE,
    "power_outlets": _IN_DEVICE,
    "front_ports": _IN_DEVICE,
    "rear_ports": _IN_DEVICE,
    "inventory_items": _IN_DEVICE,
    "power_feeds": {"power_panel_id": "power_panel", "name": "name"},
    "cables": {},
    "route_targets": _NAME,
    "vrfs": _NAME,
    "vlans": {"vid": "vid", "site_id": "site", "group_id": "group"},
    "prefixes": {"prefix": "prefix", "vrf_id": "vrf"},
    "ip_addresses": {"address": "address", "vrf_id": "vrf"},
    "asns": {"asn": "asn"},
    "l2vpns": _SLUG,
    "l2vpn_terminations": {
        "l2vpn_id": "l2vpn",
        "assigned_object_type": "assigned_object_type",
        "assigned_object_id": "assigned_object_id",
    },
}

# What NetBox makes, and deletes, with a device.
COMPONENTS = frozenset(name for name, key in KEYS.items() if key is _IN_DEVICE)

# Where a device says how many it has of each.
_COUNTS = {name: f"{name.removesuffix('s')}_count" for name in sorted(COMPONENTS)}

# What NetBox would silently delete with an object, or take its reference to it from: lists below
# /api/, and the filter that gives those of one object. All else makes NetBox refuse.
_HANGING: dict[str, tuple[tuple[str, str], ...]] = {
    "vrfs": (("dcim/interfaces", "vrf_id"),),
    "route_targets": tuple(
        (path, f"{way}_target_id")
        for path in ("ipam/vrfs", "vpn/l2vpns")
        for way in ("import", "export")
    ),
    "vlans": (("dcim/interfaces", "vlan_id"), ("vpn/l2vpn-terminations", "vlan_id")),
    "l2vpns": (("vpn/l2vpn-terminations", "l2vpn_id"),),
    "devices": (
        ("dcim/cables", "device_id"),
        ("ipam/ip-addresses", "device_id"),
        ("ipam/services", "device_id"),
        ("dcim/mac-addresses", "device_id"),
    ),
    "interfaces": (
        ("dcim/cable-terminations", "interface_id"),
        ("dcim/interfaces", "lag_id"),
        ("dcim/interfaces", "bridge_id"),
        ("ipam/ip-addresses", "interface_id"),
        ("dcim/mac-addresses", "interface_id"),
        ("vpn/l2vpn-terminations", "interface_id"),
    ),
    "power_ports": (("dcim/cable-terminations", "powerport_id"),),
    "power_outlets": (("dcim/cable-terminations", "poweroutlet_id"),),
    "power_feeds": (("dcim/cable-terminations", "powerfeed_id"),),
    "front_ports": (("dcim/cable-terminations", "frontport_id"),),
    "rear_ports": (("dcim/cable-terminations", "rearport_id"),),
    "ip_addresses": (("dcim/devices", "primary_ip4_id"), ("dcim/devices", "primary_ip6_id")),
    "asns": (("dcim/sites", "asn_id"),),
}

# Of the kinds that changes make, those that contacts can be assigned to.
_CONTACTED = frozenset({"tenants", "devices", "prefixes", "ip_addresses", "asns", "l2vpns"})


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An object as NetBox has it; `etag` where it was read alone."""

    id: int
    fields: Fields
    etag: str = ""

    def has(self, wanted: Fields) -> bool:
        """Whether its fields have these values."""
        return part(self.fields, wanted) == wanted


class Objects:
    """Reads and writes the objects of one NetBox. Each method makes one request, or few."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._me: int | None = None

    @property
    def url(self) -> str:
        """NetBox's address."""
        return self._session.granted.url

    def read(self, list_name: str, number: int) -> Found | None:
        """An object as it is now; None where there is none of that id."""
        answer = self._session.get(self._place(list_name, number), params=_asked(list_name))
        require(answer, 200, 404)
        return _found(list_name, answer) if answer.status_code == 200 else None

    def read_many(self, list_name: str, ids: Iterable[int]) -> dict[int, Found]:
        """Objects by their ids, without what only `read` shows: the ends of cables, and ETags."""

        def get(path: str, query: Query) -> bytes:
            answer: requests.Response = self._session.get(f"{self.url}/api/{path}", params=query)
            require(answer, 200)
            return answer.content

        records = read_some(get, list_name, sorted(ids))
        return {
            number: Found(id=number, fields=_without_ends(fields_of(record)))
            for number, record in records.items()
        }

    def find(self, list_name: str, fields: Fields) -> Found | None:
        """The object that is in the place of one with these fields, if there is any.

        Of several the first that equals it, else the first.
        """
        found = [
            each
            for number in self._candidates(list_name, fields)
            if (each := self.read(list_name, number)) and _same_place(list_name, each, fields)
        ]
        return next((each for each in found if each.has(fields)), found[0] if found else None)

    def count(self, list_name: str, fields: Fields) -> int:
        """How many objects there are that equal one with these fields."""
        found = [self.read(list_name, number) for number in self._candidates(list_name, fields)]
        return sum(each is not None and each.has(fields) for each in found)

    def create(self, list_name: str, fields: Fields) -> Found:
        """Make an object.

        Raises:
            RefusedError: NetBox refuses.
            UnreachableError: nobody knows whether it was made.
        """
        sent = {name: value for name, value in _payload(fields).items() if value is not None}
        if list_name == "rack_reservations":
            sent["user"] = self._user()
        url = f"{self.url}/api/{ENDPOINTS[list_name]}/"
        asked = _asked(list_name)
        if "user" in sent:
            asked["fields"] += ",user"  # what `fields` leaves out is not written
        answer = self._session.post(url, json=sent, params=asked)
        _accept(answer, f"make {label(list_name, fields)}", 201)
        return _found(list_name, answer)

    def update(self, list_name: str, found: Found, after: Fields) -> Found | None:
        """Give fields other values; None where the object has changed since it was read.

        Raises:
            RefusedError: NetBox refuses.
            UnreachableError: nobody knows whether it was done.
        """
        answer = self._session.patch(
            self._place(list_name, found.id),
            params=_asked(list_name),
            json=_payload(after),
            headers={"If-Match": found.etag},
        )
        if self._gone(answer, list_name, found):
            return None
        _accept(answer, f"change {label(list_name, found.fields)}", 200, 412)
        return _found(list_name, answer) if answer.status_code == 200 else None

    def delete(self, list_name: str, found: Found) -> bool:
        """Delete an object; False where it has changed since it was read.

        Raises:
            RefusedError: NetBox refuses.
            UnreachableError: nobody knows whether it was done.
        """
        answer = self._session.delete(
            self._place(list_name, found.id), headers={"If-Match": found.etag}
        )
        if self._gone(answer, list_name, found):
            return False
        _accept(answer, f"delete {label(list_name, found.fields)}", 204, 412)
        return answer.status_code == 204

    def _gone(self, answer: requests.Response, list_name: str, found: Found) -> bool:
        """Whether an object was not written because it is no longer there.

        NetBox says 404 of what the user may see and not write, and 403 of what another request
        deletes just then, too. So the object itself is asked.
        """
        return answer.status_code in (403, 404) and self.read(list_name, found.id) is None

    def hanging(
        self, list_name: str, number: int, own: Collection[tuple[str, str]] = ()
    ) -> tuple[str, ...]:
        """What NetBox would silently delete or change if it deleted the object, but for `own`.

        Arguments:
            list_name: the list that the object is in.
            number: its id.
            own: components that may be deleted with a device, by list and name.
        """
        queries: list[tuple[str, Query]] = [
            (path, {name: number}) for path, name in _HANGING.get(list_name, ())
        ]
        if list_name in _CONTACTED:
            model: Query = {"object_type": MODELS[list_name], "object_id": number}
            queries.append(("tenancy/contact-assignments", model))
        found: list[str] = []
        if list_name == "devices":
            for (kind, name), component in self.components(number).items():
                if (kind, name) not in own:
                    found.append(f"{ENDPOINTS[kind]}/{component} ({name})")
        for path, query in queries:
            page = get_json(self._session, f"{path}/", {**query, "fields": "id,display"})
            found += [f"{path}/{each['id']} ({each['display']})" for each in page["results"]]
        return tuple(dict.fromkeys(found))

    def components(self, device: int) -> dict[tuple[str, str], int]:
        """The ids of a device's components, by list and name."""
        asked = {"fields": ",".join(_COUNTS.values())}
        counts = get_json(self._session, f"{ENDPOINTS['devices']}/{device}/", asked)
        query: Query = {"device_id": device, "fields": "id,name", "limit": 1000}
        return {
            (name, each["name"]): int(each["id"])
            for name, count in _COUNTS.items()
            if counts[count]
            for each in get_json(self._session, f"{ENDPOINTS[name]}/", query)["results"]
        }

    def _place(self, list_name: str, number: int) -> str:
        return f"{self.url}/api/{ENDPOINTS[list_name]}/{number}/"

    def _candidates(self, list_name: str, fields: Fields) -> list[int]:
        """The ids of what a list's filters find for these fields."""
        if list_name == "cables":
            end = fields[TERMINATIONS[0]][0]
            query: dict[str, Any] = {_port_filter(end): end["object_id"], "fields": "cable"}
            path, wanted = "dcim/cable-terminations/", "cable"
        else:
            query = {name: fields.get(field) for name, field in KEYS[list_name].items()}
            query = {name: value for name, value in query.items() if value is not None}
            query["fields"] = "id"
            path, wanted = f"{ENDPOINTS[list_name]}/", "id"
        return [int(each[wanted]) for each in get_json(self._session, path, query)["results"]]

    def _user(self) -> int:
        """Whose token this is: NetBox wants to know who reserves a rack."""
        if self._me is None:
            self._me = int(get_json(self._session, "authentication-check/")["id"])
        return self._me


def label(list_name: str, fields: Fields) -> str:
    """What an object is called in a message, by its own fields."""
    kind = MODELS[list_name]
    for name in ("name", "address", "prefix", "asn"):
        if fields.get(name):
            return f"{kind} {fields[name]}"
    if "rack" in fields and "units" in fields:
        units = ",".join(map(str, fields["units"]))
        return f"{kind} of rack {fields['rack']}, units {units}"
    ends = [
        f"{end['object_type']} {end['object_id']}"
        for side in TERMINATIONS
        for end in fields.get(side, ())
    ]
    return " ".join([kind, *([" and ".join(ends)] if ends else [])])


def _same_place(list_name: str, found: Found, fields: Fields) -> bool:
    """NetBox's filters take upper and lower case for one, and leave out what is None."""
    if list_name == "rack_reservations":
        units = set(found.fields["units"]) & set(fields["units"])
        return found.fields["rack"] == fields["rack"] and bool(units)
    key = KEYS[list_name].values()
    return all(found.fields.get(field) == fields.get(field) for field in key)


def _asked(list_name: str) -> dict[str, str]:
    ends = f",{','.join(TERMINATIONS)}" if list_name == "cables" else ""
    return {"fields": wanted_fields(list_name) + ends}


def _found(list_name: str, answer: requests.Response) -> Found:
    """The object in an answer."""
    body = b'{"count": 1, "results": [' + answer.content + b"]}"
    (record,) = decode_page(list_name, body).results
    fields = fields_of(record)
    if list_name == "cables":
        whole: Json = answer.json()
        for side in TERMINATIONS:
            ends = [{k: end[k] for k in ("object_type", "object_id")} for end in whole[side]]
            fields[side] = sorted(ends, key=lambda end: (end["object_type"], end["object_id"]))
    return Found(id=record.id, fields=fields, etag=answer.headers.get("ETag", ""))


def _without_ends(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in TERMINATIONS}


def _payload(fields: Fields) -> Json:
    """The fields as NetBox takes them."""
    slugs = {"tags": [{"slug": slug} for slug in fields["tags"]]} if "tags" in fields else {}
    return {**fields, **slugs}


def _port_filter(end: Mapping[str, Any]) -> str:
    return f"{end['object_type'].partition('.')[2]}_id"


def _accept(answer: requests.Response, what: str, *statuses: int) -> None:
    """Make sure that NetBox did what it was asked for.

    Raises:
        RefusedError: it does not let us, by a rule of its own, a validator or a permission.
        ChapelleError: it answers something else.
    """
    reasons: dict[int, str] = {
        400: "a rule of NetBox's, or a custom validator, forbids it",
        403: "the token's user may not",
        404: "the token's user may not write this object",
        409: "other objects need it",
    }
    if answer.status_code not in reasons:
        require(answer, *statuses)
        return
    remedy = "change what the message names, then plan again"
    if answer.status_code in (403, 404):
        remedy = (
            "give the user the permissions that docs/your-own-netbox.md lists for `tenancy`; they "
            "cover what a request made, and nothing that was there before"
        )
    raise RefusedError(
        f"NetBox refuses to {what}: {reasons[answer.status_code]}.",
        where=answer.url.partition("?")[0],
        expected=f"status {statuses[0]}",
        found=f"status {answer.status_code}: {said(answer)}",
        remedy=remedy,
    )


# What is told of the progress, line by line.
type Say = Callable[[str], None]
