"""Takes servers out for good: their disks are erased, that is certified, and NetBox is told."""

from collections.abc import Mapping, Sequence

import msgspec

from chapelle import process
from chapelle.errors import ChapelleError
from chapelle.model.outcome import StepResult
from chapelle.plan.batches import Batch
from chapelle.run import writing
from chapelle.run.deploy.certify import Evidence, told
from chapelle.run.deploy.escrow import Escrow
from chapelle.run.deploy.host import ERASE, GATE
from chapelle.run.engine import Engine, Work
from chapelle.run.steps import one_line

CERTIFY = "certify"
_ENDS = "decommissioning"


class Retirement(Engine):
    """One run that erases servers."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._evidence = Evidence(work.directory)
        self._told: dict[str, str] = {}

    def _play(
        self, _batch: Batch, hosts: Sequence[str], _known: Mapping[str, Mapping[str, StepResult]]
    ) -> list[str]:
        """What is left when disks are erased: their certificates."""
        self._check_lock()
        for host in hosts:
            self.recorder.begin([host], CERTIFY)
            self._certify(host)
        return list(hosts)

    def _is_bare(self, host: str, known: Mapping[str, StepResult]) -> bool:
        """Whether its disks are still to be erased."""
        erased = ERASE in known and known[ERASE].outcome in {"ok", "changed"}
        return GATE in self.work.plan.by_name[host].steps and not erased

    def _certify(self, host: str) -> None:
        assert self.work.deploying is not None  # noqa: S101 - a plan that erases has it
        dc = self.work.deploying.scene.dc
        run, plan = self.recorder.run, self.work.plan
        try:
            made = self._evidence.certify(
                dc, dc.device(host), run=run, plan=plan.hash, operator=process.owner()
            )
            self._told[host] = told(made)
            Escrow(self.work.settings).destroy(host)
        except ChapelleError as error:
            parts = (error.message, f"found {error.found}" if error.found else "")
            self._end(host, CERTIFY, "failed", one_line(" ".join(filter(None, parts))))
            return
        levels = sorted({each.assessment.level for each in made})
        self._end(host, CERTIFY, "changed", f"{len(made)} disks: {', '.join(levels)}")
        aisle = plan.by_name[host].aisle
        self.recorder.say(
            "note", f"{host} is erased; for its switch ports: invoke fabric.push --aisle={aisle}"
        )

    def _entry(self, host: str) -> writing.Entry:
        said = self._told.get(host, "")
        return msgspec.structs.replace(
            super()._entry(host), ends=_ENDS, words=f"erased: {said}" if said else "erased"
        )
