"""A certificate as somebody who connected was shown it (X.509 by RFC 5280)."""

import datetime

import msgspec


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate, and what is to be thought of it; all is empty where none was shown.

    Arguments:
        subject: whom it is for, as RFC 4514 writes it.
        names: the DNS names and addresses that it is for.
        issuer: who signed it.
        ends: when it ends.
        days: whole days until then; below 0 when that is past.
        sha256: of the whole certificate; hex.
        trusted: whether an authority of ours signed it, and it holds now.
        named: whether it is for the name or the address that was connected to.
        problem: why it is not trusted, or why there is none.
    """

    subject: str = ""
    names: tuple[str, ...] = ()
    issuer: str = ""
    ends: datetime.datetime | None = None
    days: int = 0
    sha256: str = ""
    trusted: bool = False
    named: bool = False
    problem: str = ""
