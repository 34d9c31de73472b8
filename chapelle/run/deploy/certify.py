"""Evidence of erasure: what disks answered is kept as it comes, judged, and certified."""

from pathlib import Path
from typing import Any

import msgspec

from chapelle import files
from chapelle.errors import ChapelleError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.disks import Disk, disks_of
from chapelle.model.erasure import Certificate, Result
from chapelle.plan import erasure
from chapelle.report import erasure as report

_RESULTS, _CERTIFICATES = "erasure-results", "certificates"


class Evidence:
    """The evidence of one run, below its directory.

    Arguments:
        directory: the run's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, host: str, results: tuple[dict[str, Any], ...]) -> None:
        """Keep what the installer says of disks, before anybody judges it."""
        for result in results:
            said = msgspec.convert(result, Result)
            home = files.directory(self._directory / _RESULTS / host)
            files.write(home / f"{_plain(said.serial)}.json", msgspec.json.encode(said))

    def certify(
        self, dc: Datacentre, device: r.Device, *, run: str, plan: str, operator: str
    ) -> tuple[Certificate, ...]:
        """Write the certificate of each disk of a host that was to be erased.

        Arguments:
            dc: the datacentre.
            device: the host.
            run: the run.
            plan: the hash of its plan.
            operator: who gave the command.

        Raises:
            ChapelleError: a disk has not reached any level; all certificates are written before.
        """
        host = device.name or ""
        site = dc.sites[device.site].name if device.site in dc.sites else ""
        made = []
        for disk in disks_of(dc, device):
            certificate = erasure.certificate(
                erasure.order(run, host, disk.serial),
                self._result(host, disk),
                site=site,
                operator=operator,
                item=disk.item,
                name=disk.name,
                plan=plan,
            )
            home = files.directory(self._directory / _CERTIFICATES / host)
            for name, data in report.files(certificate):
                files.write(home / name, data)
            made.append(certificate)
        bad = [each for each in made if each.assessment.level == "none"]
        if bad:
            why = "; ".join(
                f"{each.name} ({each.result.serial}): "
                + ", ".join(f"{w.code} {w.value}".strip() for w in each.assessment.why)
                for each in bad
            )
            raise ChapelleError(
                f"{len(bad)} disks of {host} are not erased.",
                where=str(self._directory / _CERTIFICATES / host),
                expected="level clear or purge",
                found=f"none: {why}",
                remedy="retire it again, or destroy those disks",
            )
        return tuple(made)

    def _result(self, host: str, disk: Disk) -> Result:
        path = self._directory / _RESULTS / host / f"{_plain(disk.serial)}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Result)
        except FileNotFoundError as error:
            raise ChapelleError(
                f"Nothing was heard of the erasure of {disk.name} ({disk.serial}).",
                where=str(path),
                expected="what the installer reports of each disk",
                found="no such file",
                remedy=f"retire {host} again",
            ) from error


def told(made: tuple[Certificate, ...]) -> str:
    """What NetBox' journal says of a host's disks: level and certificate of each."""
    return "; ".join(
        f"{each.name} {each.result.serial}: {each.assessment.level} by {each.assessment.method}, "
        f"certificate sha256 {erasure.digest(each)}"
        for each in made
    )


def _plain(serial: str) -> str:
    """A serial number as a file's name."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in serial)
