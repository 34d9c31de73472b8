"""What an operator types for something that can be lost, and which element that is.

`panel-a2-a`, `ups-a`, `pdu-a2-r01-a`, `A2-R01`, `aisle-2`: a name in NetBox, or the slug of a
location. Where a name alone says too little, a kind before it says more: `rack:A2-R01`,
`feed:1234` (an id of NetBox). Cables have no names: `cable:<id>`, or `cable:<label>`.
"""

import difflib
from collections.abc import Iterator

from chapelle.checks.resilience.loss import Plant
from chapelle.errors import InputError
from chapelle.model.finding import ObjectRef
from chapelle.model.records import ENDPOINTS
from chapelle.model.references import Names
from chapelle.model.resilience import Element

# What may stand before a colon, and where such objects are in NetBox. Sources stand in their site.
KINDS = {
    "source": ENDPOINTS["sites"],
    "panel": ENDPOINTS["power_panels"],
    "feed": ENDPOINTS["power_feeds"],
    "device": ENDPOINTS["devices"],
    "rack": ENDPOINTS["racks"],
    "location": ENDPOINTS["locations"],
    "bundle": ENDPOINTS["cable_bundles"],
    "cable": ENDPOINTS["cables"],
}
_PREFIXES = {place: prefix for prefix, place in KINDS.items()}
_SHOWN = 6

type Identity = tuple[str, int, str]


class Index:
    """Everything in a plant that can be named and lost."""

    def __init__(self, plant: Plant) -> None:
        self._by_name: dict[str, dict[Element, None]] = {}
        self._by_identity: dict[Identity, Element] = {}
        for name, element in _named(plant):
            self._by_identity[_identity(element.ref)] = element
            if name:
                self._by_name.setdefault(name, {})[element] = None

    def at(self, ref: ObjectRef) -> Element | None:
        """The element that an object of NetBox is by now; None when it no longer exists.

        An object that was renamed is still the same; a source is known by its name alone.
        """
        return self._by_identity.get(_identity(ref))

    def find(self, text: str) -> Element:
        """The element that an operator means.

        Raises:
            InputError: nothing is called so, or several things are; they are named.
        """
        text = text.strip()
        found = self._candidates(text)
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"Several objects are called {text!r}.",
                where="the snapshot of NetBox",
                expected="the name of one object",
                found=_some([f"{exact(element)} ({element.kind})" for element in found]),
                remedy="say which one, such as: " + exact(found[0]),
            )
        raise InputError(
            f"There is no object {text!r}.",
            where="the snapshot of NetBox",
            expected="the name of a source, panel, feed, device, rack or cable bundle, the slug of "
            f"a location, or one of these after its kind ({', '.join(KINDS)}) and a colon",
            found=repr(text),
            remedy=self._hint(text),
        )

    def _candidates(self, text: str) -> list[Element]:
        named = [e for e in self._by_name.get(text, ()) if e.ref.endpoint != KINDS["cable"]]
        prefix, colon, rest = text.partition(":")
        place = KINDS.get(prefix)
        if named or not colon or place is None:
            return named
        rest = rest.strip()
        of_kind = [e for e in self._by_name.get(rest, ()) if e.ref.endpoint == place]
        if of_kind or not (rest.isascii() and rest.isdecimal()) or prefix == "source":
            return of_kind
        element = self._by_identity.get((place, int(rest), ""))
        return [element] if element else []

    def _hint(self, text: str) -> str:
        """What may have been meant: names that are nearly the same, whatever their case."""
        prefix, colon, rest = text.partition(":")
        place = KINDS.get(prefix) if colon else None
        names: dict[str, str] = {}
        for name, elements in self._by_name.items():
            of_kind = [e for e in elements if place in (None, e.ref.endpoint)]
            if of_kind and (place or of_kind[0].ref.endpoint != KINDS["cable"]):
                names.setdefault(name.casefold(), f"{prefix}:{name}" if place else name)
        wanted = (rest if place else text).casefold()
        near = difflib.get_close_matches(wanted, names, n=_SHOWN, cutoff=0.7)
        if near:
            return "did you mean " + " or ".join(names[key] for key in near) + "?"
        return "look it up in NetBox"


def find(plant: Plant, text: str) -> Element:
    """The element that an operator means by one name.

    Raises:
        InputError: nothing is called so, or several things are.
    """
    return Index(plant).find(text)


def find_all(plant: Plant, text: str) -> tuple[Element, ...]:
    """The elements that an operator means by names with commas between, each once.

    Raises:
        InputError: one of them means nothing, or several things; or there is none.
    """
    names = [name for part in text.split(",") if (name := part.strip())]
    if not names:
        raise InputError(
            "No object is named.",
            where="the command line",
            expected="names with commas between, such as panel-a2-a,pdu-a2-r01-b",
            found=repr(text),
        )
    index = Index(plant)
    return tuple(dict.fromkeys(index.find(name) for name in names))


def exact(element: Element) -> str:
    """What to type for this element and no other."""
    prefix = _PREFIXES[element.ref.endpoint]
    return f"{prefix}:{element.name if prefix == 'source' else element.ref.id}"


def _identity(ref: ObjectRef) -> Identity:
    """What an object is known by: a source by its name, all others by their id."""
    return (ref.endpoint, ref.id, ref.name if ref.endpoint == KINDS["source"] else "")


def _named(plant: Plant) -> Iterator[tuple[str, Element]]:
    """Every element, once with each of its names; cables with their label."""
    content = plant.dc.content
    for element in plant.power.elements:
        if element.ref.endpoint in (KINDS["source"], KINDS["panel"], KINDS["feed"]):
            yield element.name, element
    for device in content.devices:
        yield device.name or "", plant.element(device)
    for rack in content.racks:
        yield rack.name, Element(kind="rack", ref=_ref("racks", rack.id, rack.name))
    aisles = {location.id for location in plant.dc.aisles.values()}
    for location in content.locations:
        kind = "aisle" if location.id in aisles else "location"
        element = Element(kind=kind, ref=_ref("locations", location.id, location.slug))
        yield location.slug, element
        yield location.name, element
    for bundle in content.cable_bundles:
        ref = _ref("cable_bundles", bundle.id, bundle.name)
        yield bundle.name, Element(kind="bundle", ref=ref)
    names = Names(content)
    for cable in content.cables:
        label = cable.label or names.of_type("dcim.cable", cable.id)
        yield cable.label, Element(kind="cable", ref=_ref("cables", cable.id, label))


def _ref(list_name: str, number: int, name: str) -> ObjectRef:
    return ObjectRef(endpoint=ENDPOINTS[list_name], id=number, name=name)


def _some(words: list[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
