"""Execute many runs: a few at a time on this machine, or on a Dask cluster.

Each run is a process of its own, here and there.  Here a few threads each wait for one such
process; on a cluster each worker process runs one at a time.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from experiments.suite import catalogue, provenance
from experiments.suite.errors import UserError
from experiments.suite.quiet import Quiet
from experiments.suite.run import Outcome, Stop, run
from experiments.suite.storage import FAILED, Store, open_store

PATIENCE = 20  # seconds to wait for a scheduler and for a worker


@dataclass(frozen=True)
class Job:
    """One run that is asked for."""

    experiment: catalogue.Experiment
    given: Mapping[str, object]

    @property
    def label(self) -> str:
        """Name it for people: the experiment and the parameters given."""
        return " ".join([self.experiment.name, *(f"{k}={v}" for k, v in self.given.items())])


class Watcher(Protocol):
    """Is told how runs go, from several threads at once."""

    def begin(self, job: Job) -> None:
        """Hear that a run starts."""

    def advance(self, job: Job, done: int, total: int) -> None:
        """Hear that so many of its cells are done."""

    def end(self, job: Job, outcome: Outcome) -> None:
        """Hear how it ended."""


def here(
    jobs: Sequence[Job], store: Store, watcher: Watcher, *, workers: int = 1, again: bool = False
) -> list[Outcome]:
    """Execute jobs on this machine, so many at a time; a failed run does not stop the others.

    Several at once share the processor's threads, or each would start as many as there are.
    Those that take times have them all, and come last: while one does so all others stand still, or
    it would measure them, too.
    An error that would meet the others too, such as a full disk, ends them all, as Ctrl-C does.
    """
    stop, quiet = Stop(), Quiet(workers)
    share = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None

    def execute(job: Job) -> Outcome:
        def progress(done: int, total: int) -> None:
            watcher.advance(job, done, total) if done else watcher.begin(job)

        outcome = run(
            job.experiment,
            job.given,
            store,
            progress,
            again=again,
            stop=stop,
            quiet=quiet,
            threads=None if job.experiment.timed else share,
        )
        watcher.end(job, outcome)
        return outcome

    # One more than may work: while a run waits to be alone the next one gets ready.
    with ThreadPoolExecutor(workers + 1 if workers > 1 else 1) as pool:
        ordered = sorted(jobs, key=lambda job: job.experiment.timed)
        futures = {id(job): pool.submit(execute, job) for job in ordered}
        try:
            wait(futures.values(), return_when="FIRST_EXCEPTION")
            return [future.result() for job in jobs if (future := futures[id(job)]).done()]
        except BaseException:
            for future in futures.values():
                future.cancel()
            stop.ask()
            raise


def on_cluster(
    jobs: Sequence[Job], store: Store, watcher: Watcher, *, scheduler: str, again: bool = False
) -> list[Outcome]:
    """Execute jobs on the workers of a Dask scheduler.

    Raises
    ------
    UserError
        If the scheduler cannot be reached, has no worker or one with several threads, or the
        workers could not put results into `store`.
    """
    if store.url.startswith("memory://"):
        raise UserError("Results in memory:// cannot be shared with a cluster: give a folder.")
    from distributed import as_completed

    with _client(scheduler) as client:
        futures = {}
        for job in jobs:
            order = (job.experiment.name, dict(job.given), store.url, _name(job), again)
            futures[client.submit(run_there, *order, pure=False)] = job
        outcomes = {}
        try:
            for future in as_completed(futures, loop=client.loop):
                job = futures[future]
                outcomes[future] = _outcome(future, job)
                watcher.end(job, outcomes[future])
        finally:
            client.cancel(list(futures))
        return [outcomes[future] for future in futures]


def run_there(
    name: str, given: Mapping[str, object], url: str, expected: str, again: bool
) -> Outcome:
    """Run an experiment on a worker of a cluster; its code and libraries must be the client's."""
    experiment, store = catalogue.experiment(name), open_store(url)
    found = provenance.run_name(provenance.determinants(experiment, experiment.settings(given)))
    if found != expected:
        error = "the worker's code or libraries differ from those here"
        return Outcome(expected, "failed", store.location(expected + FAILED), 0.0, error)
    store.prepare()
    return run(experiment, given, store, again=again)


def _name(job: Job) -> str:
    settings = job.experiment.settings(job.given)
    return provenance.run_name(provenance.determinants(job.experiment, settings))


def _client(scheduler: str):
    """Connect to a scheduler whose workers each run one thing at a time."""
    from distributed import Client

    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or "no answer"
        raise UserError(f"Cannot reach the scheduler {scheduler}: {reason}.") from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        threads = client.nthreads()
    except TimeoutError:
        client.close()
        raise UserError(
            f"The scheduler {scheduler} has no worker: "
            f"start one with `dask worker {scheduler} --nthreads 1`."
        ) from None
    if several := [address for address, count in threads.items() if count > 1]:
        client.close()
        raise UserError(
            f"The worker {several[0]} has {threads[several[0]]} threads, and runs need a process "
            "each: start workers with `--nthreads 1 --nworkers N`."
        )
    return client


def _outcome(future, job: Job) -> Outcome:
    """Return a run's outcome; a run whose workers kept dying is a failed one."""
    error = future.exception()
    if error is None:
        return future.result()
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Outcome(_name(job), "failed", "nowhere", 0.0, text)
