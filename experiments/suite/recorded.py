"""Record a run: keep it in the repository, in small form, under the machine it ran on."""

import json
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from experiments import timing
from experiments.suite import conclusions, records
from experiments.suite.errors import UserError
from experiments.suite.notebook import SAMPLES
from experiments.suite.run import PROVENANCE
from experiments.suite.storage import FolderStore, Store, open_store

REQUIRED = ("measurements.csv", conclusions.FILE, PROVENANCE)
OPTIONAL = (SAMPLES,)
LIMIT = 10 * 2**20  # bytes of all recorded runs together

Hash = Field(pattern="^[0-9a-f]{64}$")


class Strict(BaseModel):
    """A part of a record that has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Machine(Strict):
    """On what a run was computed."""

    system: str
    architecture: str
    cpu: str | None
    simd: list[str]
    cores: int | None
    threads: int
    thread_limits: dict[str, str]
    memory_gib: float
    gpu: dict[str, str] | None
    timer_resolution_s: float
    load_1_min: float


class Git(Strict):
    """The commit of the code."""

    commit: str
    dirty: bool


class Provenance(Strict):
    """Where a recorded run comes from; only a run that succeeded is recorded."""

    experiment: str
    parameters: dict[str, object]
    notebook_code: str = Hash
    softmax_ref: str = Hash
    experiments: str = Hash
    versions: dict[str, str]
    run: str
    given: dict[str, object]
    started: datetime
    git: Git | None
    machine: Machine
    seconds: float = Field(ge=0)
    exit_status: Literal[0]
    error: None


class Quantity(Strict):
    """A measured value between its bounds."""

    value: float
    low: float
    high: float
    unit: str


class Conclusion(Strict):
    """One statement and its verdict."""

    id: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    verdict: conclusions.Verdict
    evidence: str
    quantity: Quantity | None = None


def check(store: Store, name: str) -> None:
    """Check the files of a run against their schema.

    Raises
    ------
    UserError
        If a file is not there or not as it should be; the sentence names the place in it.
    """
    schemas = {PROVENANCE: Provenance, conclusions.FILE: list[Conclusion]}
    for file in REQUIRED:
        try:
            text = store.read(name, file)
            if file in schemas:
                TypeAdapter(schemas[file]).validate_json(text)
        except FileNotFoundError:
            raise UserError(f"{store.location(name)} has no {file}.") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "all of it"
            raise UserError(
                f"{store.location(name)}/{file} does not fit: "
                f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}."
            ) from None


def record(run: records.Record, machine: str | None = None) -> Path:
    """Copy a run into the repository, without its notebook and its figures.

    An earlier record of the same experiment with the same parameters on the same machine is
    replaced.

    Parameters
    ----------
    run : Record
        A complete run.
    machine : str, optional
        A name for the machine; by default processor, threads and GPU make one.

    Raises
    ------
    UserError
        If the run does not fit the schema, the name is not one for a folder, or all recorded runs
        would take more than 10 MB.
    """
    place, _, name = run.location.rpartition("/")
    store = open_store(place or ".")
    check(store, name)
    files = {file: store.read(name, file) for file in REQUIRED}
    files |= {file: store.read(name, file) for file in OPTIONAL if _has(store, name, file)}
    machine = machine or machine_name(_computed_on(run, files))
    if slug(machine) != machine:
        raise UserError(
            f"A machine cannot be named {machine!r}: use small letters, digits and hyphens, "
            f"such as {slug(machine) or 'my-machine'!r}."
        )
    old = [
        other
        for other in records.recorded()
        if (other.machine, other.experiment, other.parameters)
        == (machine, run.experiment, run.parameters)
    ]
    _check_size(sum(len(text.encode()) for text in files.values()), old)
    return _write(files, machine, name, old)


def _computed_on(run: records.Record, files: Mapping[str, str]) -> dict[str, object]:
    """Return the machine that took the samples, which may be another one than the run's."""
    if samples := files.get(SAMPLES):
        return json.loads(samples)["machine"]
    return run.provenance["machine"]


def with_a_gpu(experiment: str) -> list[tuple[records.Record, dict[str, object]]]:
    """Return the recorded runs of an experiment whose samples a GPU took, with its description."""
    found = []
    for record in records.recorded():
        samples = records.RECORDED / record.label / SAMPLES
        if record.experiment == experiment and samples.exists():
            description = timing.read(samples)[1]
            if "cuda" in description["about"]["devices"]:
                found.append((record, description))
    return found


def machine_name(machine: dict[str, object]) -> str:
    """Name a machine after its processor, its threads and its GPU."""
    gpu = (machine["gpu"] or {}).get("name", "")
    return slug(f"{machine['cpu']} {machine['threads']} threads {gpu}")


def slug(text: str) -> str:
    """Return a text as small letters, digits and single hyphens.

    Examples
    --------
    >>> slug("Intel(R) Xeon(R) CPU @ 2.20GHz")
    'intel-xeon-cpu-2-20ghz'
    """
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", text.lower())).strip("-")


def size() -> int:
    """Return the bytes of all recorded runs."""
    return sum(path.stat().st_size for path in records.RECORDED.rglob("*") if path.is_file())


def _has(store: Store, name: str, file: str) -> bool:
    try:
        store.read(name, file)
    except FileNotFoundError:
        return False
    return True


def _check_size(new: int, old: list[records.Record]) -> None:
    freed = sum(path.stat().st_size for run in old for path in Path(run.location).iterdir())
    total = size() - freed + new
    if total > LIMIT:
        raise UserError(
            f"The recorded runs would take {total / 2**20:.1f} MB of the {LIMIT / 2**20:.0f} "
            "allowed: remove one of them first."
        )


def _write(files: dict[str, str], machine: str, name: str, old: list[records.Record]) -> Path:
    folder = records.RECORDED / machine
    store = FolderStore(folder)
    store.prepare()
    with store.workspace() as workspace:
        for file, text in files.items():
            (workspace / file).write_text(text, encoding="utf-8")
        store.publish(workspace, name, replace=True)
    for run in old:
        if run.name != name:
            shutil.rmtree(run.location)
    return folder / name
