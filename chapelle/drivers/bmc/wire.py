"""The HTTP below a session with a BMC: verified TLS, and what may be asked twice.

sushy's connector repeats every request whose answer was lost, a reset of the server included. Ours
repeats only what may be done twice: reading, and setting something to a value. It waits longer each
time, for a bounded time. What a lost POST has done is for the caller to find out, by reading.
"""

import logging
from http import HTTPMethod
from typing import TYPE_CHECKING, Any

import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection

from chapelle import lazy
from chapelle.drivers.bmc.contract import BmcError, StrangerError, Target, UnreachableError
from chapelle.drivers.switch.wire import inside

if TYPE_CHECKING:
    import sushy
    import sushy.connector
    import sushy.exceptions
else:
    sushy = lazy.library("sushy")

# Setting a value twice is setting it once; DSP0266, "Modification requests", for PATCH.
REPEATABLE = {HTTPMethod.GET, HTTPMethod.PATCH, HTTPMethod.DELETE}
# DSP0266 has 503 for a service that is busy or starts; the others come from gateways inside BMCs.
BUSY = {500, 502, 503, 504}
# A request that sushy may have other words for, as some BMCs want: it asks again by itself.
OTHER_WORDS = {400, 415}
CONNECT_SECONDS = 10
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0


class _Adapter(HTTPAdapter):
    """Connections that are made in the target's network namespace, to what its certificate says."""

    def __init__(self, target: Target) -> None:
        class Connection(HTTPSConnection):
            def _new_conn(self) -> Any:
                with inside(target.namespace):
                    return super()._new_conn()  # type: ignore[no-untyped-call,unused-ignore]

        class Pool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Connection

        self._pool = Pool
        self._wanted = {"assert_hostname": target.name} if target.name else {}
        if target.fingerprint:
            self._wanted = {"assert_fingerprint": target.fingerprint}
        super().__init__(pool_maxsize=1)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **keywords: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **keywords, **self._wanted)
        self.poolmanager.pool_classes_by_scheme = {"https": self._pool}


def connect(target: Target) -> Any:
    """A session of sushy with the BMC: the root of its service, which has been read.

    Raises:
        UnreachableError: it does not answer.
        StrangerError: its certificate is not signed by our authority, or names another; or it
            refuses our login.
    """
    for library in ("sushy", "urllib3.connection"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # what they warn of, we say
    url = f"https://{target.address}:{target.port}"

    class Connector(sushy.connector.Connector):  # type: ignore[misc,unused-ignore]
        def _op(self, method: str, path: str = "", *arguments: Any, **keywords: Any) -> Any:
            def once() -> Any:
                return super(Connector, self)._op(method, path, *arguments, **keywords)

            return _patiently(target, method, path, once)

    # One retry of the server's errors means one attempt on the wire, in sushy's way of counting.
    connector = Connector(
        url,
        # By its fingerprint it is known before anything is sent, too.
        verify=False if target.fingerprint else target.authority,
        server_side_retries=1,
        default_request_timeout=target.family.seconds.answer,
        connect_timeout=min(CONNECT_SECONDS, target.family.seconds.answer),
    )
    connector._session.mount("https://", _Adapter(target))
    connector._session.trust_env = False  # no proxy, no .netrc
    if target.family.keep_alive:
        connector._session.headers.pop("Connection", None)
    login = sushy.auth.BasicAuth(username=target.login.user, password=target.login.password)
    return sushy.Sushy(url, auth=login, connector=connector)


def _patiently(target: Target, method: str, path: str, once: Any) -> Any:
    """Do a request, again while the BMC is away or busy if it may be done twice."""
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passes)
        if method in REPEATABLE
        else tenacity.retry_never,
        wait=tenacity.wait_exponential_jitter(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        stop=tenacity.stop_before_delay(target.patience),
        reraise=True,
    )
    try:
        return retry(once)
    except sushy.exceptions.SushyError as error:
        if method == HTTPMethod.POST and getattr(error, "status_code", None) in OTHER_WORDS:
            raise
        raise _translated(target, method, path, error) from error


def _passes(error: BaseException) -> bool:
    """Whether it may go by itself."""
    if isinstance(error, sushy.exceptions.HTTPError):
        return error.status_code in BUSY
    return isinstance(error, sushy.exceptions.ConnectionError) and not _is_untrusted(error)


def _is_untrusted(error: BaseException) -> bool:
    cause = error.__context__  # sushy keeps requests' own error there
    return isinstance(cause, requests.exceptions.SSLError) and any(
        word in str(cause).lower() for word in ("certificate", "fingerprint")
    )


def _translated(target: Target, method: str, path: str, error: Exception) -> BmcError:
    where = f"BMC of {target.host} at {target.address}: {method} {path or '/'}"
    found = " ".join(str(error).split())[:300]
    if isinstance(error, sushy.exceptions.AccessError):
        return StrangerError(
            f"The BMC of {target.host} refuses our login.",
            where=where,
            expected=f"an account for {target.login.user}",
            found=f"HTTP status {error.status_code}",
            remedy="put the right login into the file of BMCs' logins",
        )
    if _is_untrusted(error):
        return StrangerError(
            f"Who answers for the BMC of {target.host} cannot be trusted.",
            where=where,
            expected=f"the certificate with SHA-256 {target.fingerprint}"
            if target.fingerprint
            else f"a certificate for {target.bears} signed by {target.authority}",
            found=" ".join(str(error.__context__).split())[:300],
            remedy="see what is plugged in there; then give the BMC a certificate of the site's "
            "(docs/bmc.md, The first certificate)",
        )
    if _passes(error):
        status = getattr(error, "status_code", None)
        return UnreachableError(
            f"The BMC of {target.host} {'is busy' if status else 'does not answer'}.",
            where=where,
            expected=f"an answer within {target.patience:.0f} s",
            found=f"HTTP status {status}" if status else found,
            remedy="see whether it has power and its cable; reset the BMC if that does not help",
        )
    return refused(target, error, where)


def refused(target: Target, error: Exception, where: str = "") -> BmcError:
    """The error that a BMC does not do what it was asked."""
    return BmcError(
        f"The BMC of {target.host} refuses.",
        where=where or target.where,
        expected="that it is done",
        found=" ".join(str(error).split())[:300],
    )
