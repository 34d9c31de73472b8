"""A snapshot: the content of one NetBox as canonical bytes, named by their SHA-256."""

import hashlib
from functools import cached_property
from pathlib import Path

import msgspec

from chapelle.errors import InputError
from chapelle.model.records import Content

FORMAT = 1

# Custom fields in which runs keep their own notes. They change while nothing that is intended
# changes, so no snapshot contains them.
OPERATIONAL_CUSTOM_FIELDS = frozenset({"chapelle_lock", "chapelle_run", "chapelle_facts"})


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    content: Content


class Snapshot:
    """Immutable content of NetBox and the hash of its canonical form.

    The same NetBox content gives the same bytes: no time, no address and no token is part of it.
    """

    def __init__(self, content: Content) -> None:
        self.content = content

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes: compact JSON, fields in declared order, mappings sorted."""
        envelope = _Envelope(format=FORMAT, content=self.content)
        return msgspec.json.encode(envelope, order="deterministic")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical bytes, as 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str) -> "Snapshot":
        """Read canonical bytes; `where` names their origin in errors.

        Raises:
            InputError: the bytes are no snapshot, or one of another format.
        """
        try:
            envelope = msgspec.json.decode(data, type=_Envelope)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise InputError(
                "This is not a snapshot.",
                where=where,
                expected=f"a file written by snapshot.take (format {FORMAT})",
                found=str(error),
                remedy="take a new one: invoke snapshot.take --out FILE",
            ) from error
        if envelope.format != FORMAT:
            raise InputError(
                "This snapshot has another format.",
                where=where,
                expected=f"format {FORMAT}",
                found=f"format {envelope.format}",
                remedy="take a new one: invoke snapshot.take --out FILE",
            )
        return cls(envelope.content)

    @classmethod
    def read(cls, path: Path) -> "Snapshot":
        """Read a snapshot file.

        Raises:
            InputError: the file is missing, unreadable or no snapshot.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(
                "The snapshot cannot be read.",
                where=str(path),
                expected="a file written by snapshot.take",
                found=error.strerror or str(error),
            ) from error
        return cls.from_bytes(data, where=str(path))
