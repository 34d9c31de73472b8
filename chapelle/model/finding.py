"""A finding: one thing that is not as it should be, said so that the reader can mend it."""

import msgspec

SEVERITIES = ("error", "warning")


class ObjectRef(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One NetBox object: its place below `/`, such as `dcim/devices`, its id and its name."""

    endpoint: str
    id: int
    name: str

    def url(self, base: str = "") -> str:
        """The object's page; `base` is NetBox's address without a slash at its end."""
        return f"{base}/{self.endpoint}/{self.id}/"


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One finding. An `error` makes its objects unfit for a run, a `warning` does not."""

    rule: str
    severity: str
    objects: tuple[ObjectRef, ...]
    expected: str
    found: str
    remedy: str
