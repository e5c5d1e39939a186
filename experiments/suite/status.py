"""What there is of a sweep: which of its runs are complete, stale, failed or missing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.suite import provenance, records
from experiments.suite.execute import Job
from experiments.suite.run import PROVENANCE
from experiments.suite.storage import FAILED, Store

State = Literal["complete", "stale", "failed", "missing"]
STATES: tuple[State, ...] = ("complete", "stale", "failed", "missing")


@dataclass(frozen=True)
class Status:
    """The state of one run, and why."""

    label: str
    state: State
    reason: str = ""


def of(jobs: Sequence[Job], store: Store) -> list[Status]:
    """Return the status of each run.

    ``stale`` is a run that is complete, but was made by other code or other libraries: the reason
    names what changed.  ``failed`` names the error, ``missing`` was never run.
    """
    past = records.complete(store)
    return [_status(job, store, past) for job in jobs]


def _status(job: Job, store: Store, past: Sequence[records.Record]) -> Status:
    settings = job.experiment.settings(job.given)
    now = provenance.determinants(job.experiment, settings)
    name = provenance.run_name(now)
    if store.has(name):
        return Status(job.label, "complete")
    if store.has(name + FAILED):
        error = json.loads(store.read(name + FAILED, PROVENANCE))["error"]
        return Status(job.label, "failed", error)
    same = [r for r in past if (r.experiment, r.parameters) == (job.experiment.name, settings)]
    if not same:
        return Status(job.label, "missing")
    latest = max(same, key=lambda record: record.provenance["started"])
    return Status(job.label, "stale", f"changed since: {', '.join(_changes(latest, now))}")


def _changes(record: records.Record, now: dict[str, object]) -> list[str]:
    """Name what differs between a past run and what would be run now."""
    before = record.determinants
    after = {key: now[key] for key in before if key in now} | now["versions"]
    names = sorted(key for key in before | after if before.get(key) != after.get(key))
    return [_change(name, before.get(name), after.get(name), now["versions"]) for name in names]


def _change(name: str, before: object, after: object, versions: dict[str, str]) -> str:
    if name in versions or after is None:
        return f"{name} {before or 'none'} to {after or 'none'}"
    return name.replace("notebook_code", "the notebook's code")
