"""The same sweep on a Dask cluster of separate worker processes."""

import os
import signal
import threading
import warnings

import psutil
import pytest

from experiments.suite import catalogue, cli, execute, run
from experiments.suite.storage import FolderStore, open_store
from tests.experiments.test_sweep import STUB, executed, states, sweep_of, until
from tests.experiments.tiny import write_notebook

pytestmark = pytest.mark.filterwarnings("ignore")  # what Dask warns of is not ours to mend


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a tiny experiment, a gate that is open, and a log."""
    folder = tmp_path_factory.mktemp("cluster")
    write_notebook(folder / "tiny.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "FOLDER", folder)
        yield folder


@pytest.fixture(scope="module")
def cluster(place):
    """Start two worker processes of one thread each, which know our folder and the stub."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import Client, LocalCluster, WorkerPlugin

        class Stubbed(WorkerPlugin):
            def setup(self, worker):
                catalogue.FOLDER, run.WORKER = place, STUB
                os.environ["STUB_LOG"] = str(place / "log")
                os.environ["STUB_GATE"] = str(place / "gate")

        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            client.register_plugin(Stubbed())
            yield cluster


@pytest.fixture
def sweep(place, cluster):
    """Return a function that sweeps over n on the cluster; forget what earlier tests executed."""
    (place / "log").unlink(missing_ok=True)

    def sweep(values, out):
        line = ["sweep", sweep_of(place, values), "--scheduler", cluster.scheduler_address]
        return cli.main([*line, "--out", out])

    return sweep


def test_a_sweep_on_a_cluster_is_resumed_like_any_other(place, sweep, capsys):
    out = f"file://{place}/runs"
    assert sweep([3, 50, 4, 2], out) == 1
    assert states(open_store(out)) == (3, 1)
    assert sorted(executed(place)) == [2, 3, 4]
    assert "tiny n=50: failed: AssertionError: too many" in capsys.readouterr().err
    assert sweep([3, 4, 2, 5], out) == 0
    assert sorted(executed(place)) == [2, 3, 4, 5]
    assert capsys.readouterr().out.count("already complete") == 3


def test_a_worker_of_the_cluster_killed_loses_nothing(place, cluster, sweep, capsys):
    """kill -9 of one worker process in mid-run: its run is done by another, once."""
    (place / "gate").touch()
    out, statuses = place / "killed", []
    thread = threading.Thread(target=lambda: statuses.append(sweep(range(2, 8), str(out))))
    thread.start()
    until(lambda: len(list(out.glob(".partial-*/measurements.csv"))) == 2)
    worker = psutil.Process(next(iter(cluster.workers.values())).pid)
    runs = worker.children(recursive=True)
    worker.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(runs, timeout=90)[1]  # the run dies with it
    (place / "gate").unlink()
    thread.join(90)
    assert statuses == [0]
    assert states(FolderStore(out)) == (6, 0)
    assert sorted(executed(place)) == list(range(2, 8))


def test_a_worker_with_other_code_is_a_failed_run(place, cluster, tmp_path):
    """The worker derives the run's name itself, and another name means other code."""
    outcome = execute.run_there("tiny", {"n": 3}, str(tmp_path), "tiny-000000000000", False)
    assert outcome.status == "failed"
    assert outcome.error == "the worker's code or libraries differ from those here"
    assert not list(tmp_path.iterdir())


def test_workers_with_several_threads_are_refused(place, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster:
            address = cluster.scheduler_address
            line = ["sweep", sweep_of(place, [3]), "--scheduler", address, "--out", str(place)]
            assert cli.main(line) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "has 2 threads, and runs need a process each: start workers with `--nthreads 1" in err


def test_a_scheduler_without_workers_is_one_sentence(place, monkeypatch, capsys):
    monkeypatch.setattr(execute, "PATIENCE", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=0, processes=True, dashboard_address=None, protocol="tcp://"
        ) as cluster:
            address = cluster.scheduler_address
            line = ["sweep", sweep_of(place, [3]), "--scheduler", address, "--out", str(place)]
            assert cli.main(line) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"The scheduler {address} has no worker: "
        f"start one with `dask worker {address} --nthreads 1`."
    )
