"""How we talk to NetBox: which one, with which token, and what its failures mean.

Every answer is judged here, whoever asked: NetBox says its version in the header `API-Version` of
all that it sends below /api/, so that a proxy's page, a wrong address and an old NetBox are told
apart from NetBox's own words without a request of their own. Reads are repeated where that can help
(no connection; 502, 503, 504); a write never is, since it may have been done. For the same reason a
write has a connection of its own: a kept one may be closed by NetBox just as we write into it (RFC
9112, section 9.3.1), and then nobody knows whether the write was done.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pynetbox
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from chapelle.errors import ChapelleError, InputError
from chapelle.netbox import server_web
from chapelle.netbox.server_layout import Layout, read_json
from chapelle.settings import Settings

MINIMUM = (4, 7)
VARIABLES = {
    "read": "NETBOX_TOKEN_RO",
    "write": "NETBOX_TOKEN",
    "seed": "NETBOX_TOKEN_SEED",
    "tenancy": "NETBOX_TOKEN_TENANCY",
}

# Seconds to connect, and between two bytes of an answer. NetBox builds a page of 1,000 in 10 s.
TIMEOUT = (5.0, 60.0)
AWAY = {502, 503, 504}
BROKEN = 500
READS = {"GET", "HEAD", "OPTIONS"}

type Json = dict[str, Any]
type Query = Mapping[str, str | int | list[int]]


class UnreachableError(ChapelleError):
    """NetBox did not answer, or a proxy says that it is away: it may be back soon.

    A write that ended so may have been done or not.
    """


class BrokenError(UnreachableError):
    """NetBox stumbled over the request (500): its database is away, or it has a fault."""


class NotNetBoxError(InputError):
    """Something answered that is no NetBox of a version that we know."""


class TokenError(InputError):
    """NetBox does not accept the token."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Which NetBox, and the token for one mode, which is a key of VARIABLES."""

    url: str
    token: str
    mode: str
    embedded: bool

    def __repr__(self) -> str:  # the token must not reach logs or tracebacks
        return f"Access(url={self.url!r}, mode={self.mode!r}, embedded={self.embedded})"

    @property
    def token_source(self) -> str:
        """Where the token came from, for messages."""
        if self.embedded:
            return f"tokens.json of the embedded NetBox, mode {self.mode}"
        return f"environment variable {VARIABLES[self.mode]}"

    @property
    def remedy(self) -> str:
        """What to do when this NetBox is away."""
        if self.embedded:
            return "run `invoke netbox.up`; `invoke netbox.status` says how it fares"
        return "is NETBOX_URL right, and does that NetBox run?"


def access(settings: Settings, mode: str) -> Access:
    """The NetBox of these settings and its token for `mode`, a key of VARIABLES.

    Raises:
        InputError: no such mode, a token is not set, or NETBOX_URL is no address.
        ChapelleError: the embedded NetBox was never brought up.
    """
    if mode not in VARIABLES:
        raise InputError(f"There is no mode {mode!r}.", expected=", ".join(VARIABLES))
    if settings.netbox_url:
        given = {
            "read": settings.netbox_token_ro,
            "write": settings.netbox_token,
            "seed": settings.netbox_token_seed,
            "tenancy": settings.netbox_token_tenancy,
        }
        return _external(settings.netbox_url, given[mode], mode)
    layout = Layout.of(settings)
    url, token = server_web.address(layout), read_json(layout.tokens).get(mode)
    if not url or not token:
        raise ChapelleError(
            "There is no NetBox yet.",
            where=str(layout.home),
            expected="the embedded NetBox, brought up once, or NETBOX_URL set",
            remedy="run `invoke netbox.up`",
        )
    return Access(url=url, token=str(token), mode=mode, embedded=True)


def _external(url: str, token: str | None, mode: str) -> Access:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(
            "NETBOX_URL is not an address.",
            where="environment variable NETBOX_URL",
            expected="https://netbox.example.org",
            found=url,
        )
    if not token:
        raise InputError(
            f"NETBOX_URL is set, and no token to {mode}.",
            where=f"environment variable {VARIABLES[mode]}",
            found="not set",
            remedy=f"make an API token in NetBox and export {VARIABLES[mode]}",
        )
    return Access(url=url, token=token, mode=mode, embedded=False)


class Session(requests.Session):
    """A requests session that carries the token and turns every failure into a ChapelleError.

    May be shared by threads. A redirect is an error, because `requests` would turn a write that is
    redirected into a read.
    """

    def __init__(self, granted: Access, *, connections: int = 16) -> None:
        super().__init__()
        self.granted = granted
        self.auth = _Bearer(granted.token)
        self.headers["Accept"] = "application/json"
        # A proxy of the environment has no business between us and this machine.
        self.trust_env = not _is_loopback(granted.url)
        retry = Retry(
            total=6,
            connect=3,
            read=1,
            status=5,
            other=0,
            backoff_factor=0.3,
            status_forcelist=AWAY,
            allowed_methods=READS,
            raise_on_status=False,
        )
        adapter = _Adapter(pool_maxsize=connections, max_retries=retry)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def request(self, method: str | bytes, url: str | bytes, **details: Any) -> requests.Response:  # type: ignore[override]
        """As requests.Session.request, with a timeout.

        Returns: an answer of NetBox, whatever its status.

        Raises:
            UnreachableError: no answer came, or 500, 502, 503 or 504.
            NotNetBoxError: the answer is not of a NetBox 4.7 or later.
            TokenError: NetBox does not accept the token.
        """
        details.setdefault("timeout", TIMEOUT)
        details["allow_redirects"] = False
        try:
            answer = super().request(method, url, **details)
        except requests.RequestException as error:
            raise UnreachableError(
                "NetBox does not answer.",
                where=self.granted.url,
                found=_reason(error),
                remedy=self.granted.remedy,
            ) from error
        judge(self.granted, answer)
        return answer


class _Adapter(HTTPAdapter):
    """Keeps connections for reads, and gives each write a new one that ends with its answer."""

    def __init__(self, **details: Any) -> None:
        super().__init__(**details)
        self._writes = HTTPAdapter(**details)

    def send(
        self, request: requests.PreparedRequest, *args: Any, **details: Any
    ) -> requests.Response:
        if request.method in READS:
            return super().send(request, *args, **details)
        request.headers["Connection"] = "close"
        return self._writes.send(request, *args, **details)

    def close(self) -> None:
        super().close()
        self._writes.close()


class _Bearer(requests.auth.AuthBase):
    """NetBox's tokens: `nbt_…` since 4.5, forty hexadecimal digits before."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        word = "Bearer" if self.token.startswith("nbt_") else "Token"
        request.headers["Authorization"] = f"{word} {self.token}"
        return request


def connect(granted: Access) -> Any:
    """A pynetbox API whose session (`http_session`) is a Session; makes no request."""
    api = pynetbox.api(granted.url, token=granted.token)
    api.http_session = Session(granted)
    return api


def getter(api: Any) -> Callable[[str, Query], bytes]:
    """A function that reads: `get(path below /api/, query)` gives the bytes of a 200 answer."""

    def get(path: str, query: Query) -> bytes:
        answer: requests.Response = api.http_session.get(f"{api.base_url}/{path}", params=query)
        require(answer, 200)
        return answer.content

    return get


def get_json(session: Session, path: str, query: Query | None = None) -> Json:
    """The JSON object at `path` below /api/.

    Raises:
        ChapelleError: as Session.request, or the answer is no success.
    """
    answer = session.get(f"{session.granted.url}/api/{path}", params=query)
    require(answer, 200)
    content: Json = answer.json()
    return content


def require(answer: requests.Response, *statuses: int) -> None:
    """Make sure that the answer has one of the statuses.

    Raises:
        ChapelleError: it has another; NetBox's own words are in the error.
    """
    if answer.status_code in statuses:
        return
    method = answer.request.method
    remedy = None
    if answer.status_code == 403:
        remedy = "give this token's user the object permissions that docs/your-own-netbox.md lists"
    raise ChapelleError(
        f"NetBox refuses {method} {urlsplit(answer.url).path}.",
        where=answer.url.partition("?")[0],
        expected="status " + " or ".join(map(str, statuses)),
        found=f"status {answer.status_code}: {_words(answer)}",
        remedy=remedy,
    )


def judge(granted: Access, answer: requests.Response) -> None:
    """Make sure that this is the answer of a NetBox that we know, which accepts our token."""
    if answer.status_code in AWAY:
        raise UnreachableError(
            f"NetBox is away: {answer.status_code} {answer.reason}.",
            where=granted.url,
            found=_words(answer),
            remedy=granted.remedy,
        )
    if answer.status_code == BROKEN:
        raise BrokenError(
            f"NetBox stumbled over {answer.request.method} {urlsplit(answer.url).path}.",
            where=granted.url,
            found=_words(answer),
            remedy="see NetBox's log (embedded: logs/web.log), or " + granted.remedy,
        )
    version = answer.headers.get("API-Version", "")
    kind = answer.headers.get("Content-Type", "")
    if not re.fullmatch(r"\d+\.\d+", version) or 300 <= answer.status_code < 400:
        target = answer.headers.get("Location")
        raise NotNetBoxError(
            "What answers is not NetBox's API.",
            where=answer.url.partition("?")[0],
            expected="JSON with the header API-Version",
            found=f"a redirect to {target}" if target else f"{kind or 'no type'}: {_words(answer)}",
            remedy="set NETBOX_URL to NetBox's own address; look for a proxy or a login page",
        )
    if tuple(map(int, version.split("."))) < MINIMUM:
        raise NotNetBoxError(
            "This NetBox is too old.",
            where=granted.url,
            expected=f"NetBox {MINIMUM[0]}.{MINIMUM[1]} or later",
            found=f"NetBox {version}",
            remedy="upgrade it, or unset NETBOX_URL to use the embedded one",
        )
    _judge_token(granted, answer)


def _judge_token(granted: Access, answer: requests.Response) -> None:
    """NetBox 4.7 answers 403 for a wrong token as for a missing permission; the words differ."""
    if answer.status_code not in {401, 403}:
        return
    words = _words(answer)
    if re.search(r"token|credentials|user inactive|authorization header", words, re.IGNORECASE):
        raise TokenError(
            "NetBox does not accept the token.",
            where=granted.url,
            expected=f"a valid token from {granted.token_source}",
            found=words,
            remedy="run `invoke netbox.up`, which renews it"
            if granted.embedded
            else f"make a new token in NetBox and export {VARIABLES[granted.mode]}",
        )


def _words(answer: requests.Response) -> str:
    """What the answer says, on one line of at most 300 characters."""
    text = answer.text
    if "json" in answer.headers.get("Content-Type", ""):
        try:
            content = answer.json()
        except requests.JSONDecodeError:
            content = None
        if isinstance(content, dict) and "detail" in content:
            text = str(content["detail"])
    elif title := re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL):
        text = f"a page titled {' '.join(title[1].split())!r}"
    return " ".join(text.split())[:300] or "an empty body"


def said(answer: requests.Response) -> str:
    """NetBox's objections in an answer, on one line, each after its field."""
    try:
        return in_words(answer.json()) or _words(answer)
    except requests.JSONDecodeError:
        return _words(answer)


def in_words(errors: Any) -> str:
    """NetBox's messages on one line, each after its field."""
    if isinstance(errors, dict):
        plain = ("__all__", "non_field_errors", "detail")
        parts = [
            in_words(value) if field in plain else f"{field}: {in_words(value)}"
            for field, value in errors.items()
        ]
        return "; ".join(parts)
    if isinstance(errors, list):
        return " ".join(in_words(value) for value in errors)
    return str(errors)


def _reason(error: requests.RequestException) -> str:
    """The innermost cause, which says more than what wraps it."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT[1]:.0f} s"
    cause: BaseException = error
    while inner := (
        getattr(cause, "reason", None) or cause.__cause__ or (cause.args[0] if cause.args else None)
    ):
        if not isinstance(inner, BaseException) or inner is cause:
            break
        cause = inner
    text = re.sub(r"^.*?>: |<[^>]*> ?", "", str(cause))
    return " ".join(text.split())[:300] or type(cause).__name__


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
