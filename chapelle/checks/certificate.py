"""Is a BMC's certificate one by which it can be known, and for long enough?"""

from collections.abc import Iterator

from chapelle.model import records as r
from chapelle.model.certificate import Certificate
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding

CERTIFICATE = "bmc-certificate"
# Time to notice, and to renew three hundred of them before the first is not trusted any more.
DUE_DAYS = 30

NOTHING = "nothing"


def judge(
    dc: Datacentre, device: r.Device, certificate: Certificate, bears: str, days: int = DUE_DAYS
) -> tuple[Finding, ...]:
    """What of a BMC's certificate is not as it should be; empty when nothing is.

    Arguments:
        dc: the datacentre.
        device: the server in it.
        certificate: what its BMC showed.
        bears: the name or address that it must be for.
        days: how many it must hold at least.
    """
    renew = f"invoke bmc.certificate --limit={device.name} --renew"
    known = certificate.trusted and certificate.named
    strange = (
        f"{renew} --fingerprints=FILE, if you know which certificate it has; "
        "else see what is plugged in there"
    )
    return tuple(
        Finding(
            rule=CERTIFICATE,
            severity="error",
            objects=(dc.ref(device),),
            expected=expected,
            found=found,
            remedy=renew if known else strange,
        )
        for expected, found in _judged(certificate, bears, days)
    )


def _judged(certificate: Certificate, bears: str, days: int) -> Iterator[tuple[str, str]]:
    if not certificate.sha256:
        yield "a certificate", f"none: {certificate.problem}"
        return
    if not certificate.trusted:
        yield (
            "a certificate that the site's authority signed",
            f"{certificate.problem}; signed by {certificate.issuer}",
        )
    if not certificate.named:
        yield f"a certificate for {bears}", f"one for {', '.join(certificate.names) or NOTHING}"
    if certificate.days < days:
        yield f"a certificate that holds for {days} days", f"{certificate.days} days"
