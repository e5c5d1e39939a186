"""Read complete runs again, from wherever they are: their provenance and their conclusions."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.suite import conclusions
from experiments.suite.errors import UserError, did_you_mean
from experiments.suite.run import PROVENANCE
from experiments.suite.storage import FAILED, FolderStore, Store, open_store

RECORDED = Path(__file__).resolve().parent.parent / "recorded"


@dataclass(frozen=True)
class Record:
    """A run that is over, with what it says of itself."""

    name: str
    location: str
    provenance: dict[str, object]
    conclusions: list[conclusions.Conclusion]
    machine: str | None = None  # the folder under recorded/; None if not recorded

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self.provenance["experiment"]

    @property
    def parameters(self) -> dict[str, object]:
        """All parameters, given or not."""
        return self.provenance["parameters"]

    @property
    def label(self) -> str:
        """Name it for people: the machine, if it is recorded, and the run's name."""
        return f"{self.machine}/{self.name}" if self.machine else self.name

    @property
    def determinants(self) -> dict[str, object]:
        """What decided the results, besides experiment and parameters, each under a name."""
        versions = self.provenance["versions"]
        keys = ("notebook_code", "softmax_ref", "experiments")
        return {key: self.provenance[key] for key in keys} | versions


def complete(store: Store) -> list[Record]:
    """Return all complete runs of a store, in the order of their names."""
    return [load(store, name) for name in sorted(store.names()) if not name.endswith(FAILED)]


def latest(runs: Iterable[Record]) -> list[Record]:
    """Of runs of one experiment with the same parameters on one machine, keep the latest."""
    kept: dict[str, Record] = {}
    for run in sorted(runs, key=lambda run: run.provenance["started"]):
        kept[json.dumps([run.machine, run.experiment, run.parameters], sort_keys=True)] = run
    return sorted(kept.values(), key=lambda run: (run.experiment, str(run.parameters)))


def recorded() -> list[Record]:
    """Return all recorded runs of all machines."""
    folders = sorted(path for path in RECORDED.glob("*/") if path.is_dir())
    return [
        load(FolderStore(folder), name, folder.name)
        for folder in folders
        for name in sorted(FolderStore(folder).names())
    ]


def load(store: Store, name: str, machine: str | None = None) -> Record:
    """Read one run.

    Raises
    ------
    UserError
        If a file of it is not there or is not what a run writes.
    """
    try:
        return Record(
            name,
            store.location(name),
            json.loads(store.read(name, PROVENANCE)),
            conclusions.from_text(store.read(name, conclusions.FILE)),
            machine,
        )
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(
            f"{store.location(name)} is not a complete run: "
            f"it needs {PROVENANCE} and {conclusions.FILE}."
        ) from None


def find(text: str, store: Store) -> Record:
    """Return the run that is meant: by a folder, a URL, a name, or ``MACHINE/NAME``.

    Raises
    ------
    UserError
        If there is none; the sentence names the nearest.
    """
    place, _, name = text.rstrip("/").rpartition("/")
    if Path(text).is_dir() or "://" in text:
        return load(open_store(place or "."), name)
    known = {record.label: record for record in _all(store)}
    if text not in known:
        raise UserError(
            f"Unknown run {text!r}: give a run's folder, its name, or MACHINE/NAME of a recorded "
            f"run{did_you_mean(text, known)}."
        )
    return known[text]


def _all(store: Store) -> Iterator[Record]:
    yield from complete(store)
    yield from recorded()
