"""The certificates of many BMCs: judged, and renewed with the site's authority."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from chapelle.checks.certificate import judge
from chapelle.drivers.bmc import certificates
from chapelle.drivers.bmc.authority import Authority
from chapelle.drivers.bmc.contract import Target
from chapelle.errors import InputError
from chapelle.lab import bmc as fleets
from chapelle.model.certificate import Certificate
from chapelle.model.finding import Finding
from chapelle.run.bmc import Outcome, Progress, Stand, opened, spread, trust
from chapelle.run.bmc_change import require_meant
from chapelle.settings import Settings


def signer(settings: Settings) -> Authority:
    """Who signs certificates of BMCs: the lab's own authority, or the site's.

    Raises:
        InputError: nobody said where it is, or it is none that we trust.
        RefusedError: its key is not private.
    """
    authority, _ = trust(settings)
    if settings.target == "lab":
        return Authority(fleets.authority(settings).parent, authority)
    folder = settings.bmc_signer
    if folder is None or not folder.is_dir():
        raise InputError(
            "Certificates of BMCs of the site cannot be signed.",
            where="environment variable CHAPELLE_BMC_SIGNER",
            expected="a directory with ca.pem and ca.key, of who signs BMCs' certificates",
            found=str(folder) if folder else "not set",
            remedy="docs/bmc.md says what is in it",
        )
    return Authority(folder, authority)


def pinned(where: Stand, path: Path) -> Stand:
    """The same BMCs; those of which the file has a fingerprint are known by that.

    Raises:
        InputError: the file is wrong, or names a server that NetBox has not.
    """
    known = certificates.fingerprints(path)
    strange = sorted(known.keys() - where.dc.devices_by_name.keys())
    if strange:
        raise InputError(
            "The file of fingerprints names what is no server.",
            where=str(path),
            expected="names of servers in NetBox",
            found=", ".join(strange[:10]),
        )
    targets = {
        name: msgspec.structs.replace(target, fingerprint=known.get(name, ""))
        for name, target in where.targets.items()
    }
    return msgspec.structs.replace(where, targets=targets)


def look(where: Stand, progress: Progress) -> Outcome[Certificate]:
    """The certificate that each BMC shows; nobody logs in to see it."""
    return spread(where, certificates.look, progress)


def findings(
    where: Stand, seen: Mapping[str, Certificate], days: int
) -> dict[str, tuple[Finding, ...]]:
    """What of certificates is not as it should be, by server.

    Arguments:
        where: the BMCs.
        seen: what each showed.
        days: how many a certificate must hold at least.
    """
    return {
        name: judge(where.dc, where.devices[name], each, where.targets[name].bears, days)
        for name, each in seen.items()
    }


def renew(where: Stand, authority: Authority, progress: Progress) -> Outcome[Certificate]:
    """Give each BMC another key and certificate, and prove that it serves it and knows us still.

    A machine that is another than NetBox means is not touched. Killed in between, a BMC has the
    certificate that it had, or the new one; the same command again does what is left.
    """

    def visit(target: Target) -> Certificate:
        with opened(target) as bmc:
            require_meant(where, bmc)
            given = certificates.replace(bmc, authority)
        anew = msgspec.structs.replace(target, fingerprint="")
        seen = certificates.prove(anew, given)
        with opened(anew):
            return seen

    return spread(where, visit, progress)
