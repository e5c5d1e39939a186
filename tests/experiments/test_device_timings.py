"""The experiment on devices: samples, where they come from, and how ratios become verdicts."""

import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from experiments import devices, timing
from experiments.devices import FORMATS, Setting
from experiments.suite import provenance
from experiments.timing import Timings, WallClock
from tests.experiments.running import failing, run

TINY = {"n": 64, "largest": 1_024, "max_seconds": 0.01}
SETTING = Setting(n=64, largest=1_024, max_seconds=0.01)
OF_A_GPU = {
    "gpu-one-row",
    "gpu-largest",
    "gpu-bandwidth",
    "gpu-half-bytes",
    "launch",
    "transfer",
    "not-waiting",
    "fused",
}
OF_A_PROCESSOR = {
    "outputs-agree",
    "one-row",
    "tensor-or-array",
    "compiled",
    "below-copy",
    "half-bytes",
    "numpy-half",
}


# --- samples ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_what_is_timed_is_right_in_every_format(dtype):
    series, about = devices.take(Setting(dtype, n=64, largest=1_024, max_seconds=0.01))
    assert list(series) == ["size 1", "size 4", "size 16", "formats"]
    assert about["errors"].keys() >= {"cpu: package on NumPy", "cpu: torch eager"}
    assert max(about["errors"].values()) <= 1
    assert about["not_offered"] == {"cpu: torch compiled": "not asked for (parameter compiled)"}


def test_a_wrong_result_is_noticed(monkeypatch):
    wrong = {"wrong": (lambda x: lambda: torch.softmax(x, -1) * 1.01, ("cpu",))}
    monkeypatch.setattr(devices, "IMPLEMENTATIONS", wrong)
    assert devices.take(SETTING)[1]["errors"]["cpu: wrong"] > 1


def test_nan_is_an_error():
    x = torch.zeros(1, 4)
    assert devices.error(x, torch.full((1, 4), torch.nan)) > 1
    assert devices.error(x, torch.full((1, 4), 0.25)) == 0


def test_what_does_not_work_is_not_offered(monkeypatch):
    def broken(x):
        raise RuntimeError("no compiler found\nand much more")

    monkeypatch.setattr(devices, "IMPLEMENTATIONS", {"broken": (broken, ("cpu",))})
    assert devices.take(SETTING)[1]["not_offered"] == {"cpu: broken": "no compiler found"}


def test_a_gpu_adds_its_series(monkeypatch):
    """The processor plays the GPU."""
    copy = timing.copy_work
    monkeypatch.setattr(devices, "devices", lambda: ["cpu", "cuda"])
    monkeypatch.setattr(devices, "moved", lambda x, device: x.clone())
    monkeypatch.setattr(timing, "copy_work", lambda nbytes, device: copy(nbytes))
    monkeypatch.setattr(timing, "clock_for", lambda device: WallClock())
    monkeypatch.setattr("torch.cuda.synchronize", lambda: None)
    series, about = devices.take(SETTING)
    assert series.keys() >= {"transfer 1", "transfer 16", "launch", "control"}
    assert "cuda: torch eager" in series["size 16"].seconds
    assert "cuda: torch eager, float16" in series["formats"].seconds
    assert series["control"].clocks["not waiting"] == "wall clock, not synchronised"
    assert about["not_offered"]["cuda: fused kernel"]


# --- where they come from ---------------------------------------------------------------------


def test_without_a_gpu_its_statements_cannot_be_tested(monkeypatch):
    monkeypatch.setattr(devices, "devices", lambda: ["cpu"])
    found, _ = run(monkeypatch, "device_timings", **TINY)
    assert found.keys() == OF_A_PROCESSOR | OF_A_GPU
    assert {found[id] for id in OF_A_GPU} == {"not testable here"}
    assert found["outputs-agree"] == "holds"


BARE = """\
import sys
sys.path.insert(0, {root!r})
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Absent())
import runpy
sys.argv = ["devices", "--out", "samples.json", "--n", "64", "--largest", "256"]
sys.argv += ["--max-seconds", "0.01"]
runpy.run_module("experiments.devices", run_name="__main__")
"""
ABSENT = ["ml_dtypes", "array_api_compat", "mpmath", "pandas", "scipy", "pydantic", "papermill"]
ABSENT += ["psutil", "cpuinfo", "click", "yaml", "matplotlib", "nbformat", "IPython"]


def test_a_bare_machine_takes_samples_that_the_notebook_reads(tmp_path, monkeypatch):
    """With NumPy and torch alone: what needs more is not offered, and the reason is told."""
    code = BARE.format(root=str(provenance.ROOT), absent=ABSENT)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert "package on NumPy is not offered here: No module named" in done.stdout, done.stderr
    found, names = run(monkeypatch, "device_timings", samples=str(tmp_path / "samples.json"))
    assert names["setting"] == Setting(n=64, largest=256, max_seconds=0.01)
    assert found["outputs-agree"] == "holds"
    assert found["one-row"] == "not testable here"
    evidence = {item.id: item.evidence for item in names["conclusions"]}
    assert evidence["one-row"].startswith("No module named")


# --- verdicts ---------------------------------------------------------------------------------


def timings(times, spread=0.001):
    """Return 21 rounds of samples around given times."""
    jitter = 1 + spread * np.linspace(-1, 1, 21)
    seconds = {
        label: list(time * (jitter if i % 2 else jitter[::-1]))
        for i, (label, time) in enumerate(times.items())
    }
    return Timings(seconds, {}, dict.fromkeys(times, "a clock"), 0.95, 0.02, True, [])


def samples_with_a_gpu(path, **changes):
    """Write samples of a machine with a GPU on which all predictions hold, but for changes."""
    small = {"cpu: copy": 1, "cpu: torch eager": 2, "cpu: package on NumPy": 30}
    small |= {"cpu: package on torch": 150, "cpu: torch compiled": 25}
    small |= {"cuda: copy": 5, "cuda: torch eager": 6, "cuda: fused kernel": 6}
    large = {"cpu: copy": 100, "cpu: torch eager": 600, "cpu: package on NumPy": 1500}
    large |= {"cpu: package on torch": 2900, "cpu: torch compiled": 500}
    large |= {"cuda: copy": 7, "cuda: torch eager": 10, "cuda: fused kernel": 8}
    formats = {
        f"{label}, {dtype}": time * width
        for dtype, width in zip(FORMATS, (1, 1, 2, 4), strict=True)
        for label, time in large.items()
        if "compiled" not in label
    }
    ways = {"to the GPU": 500, "back": 500, "there and back": 1100, "on the processor": 600}
    times = {
        "size_1": small,
        "size_4": large,
        "formats": formats,
        "transfer_1": ways,
        "transfer_4": ways,
        "launch": {"launch": 5, "one row": 6},
        "control": {"waiting": 10, "not waiting": 2},
    }
    for name, change in changes.items():
        times[name] = times[name] | change
    series = {name.replace("_", " "): timings(each) for name, each in times.items()}
    state = {"slowed_by": []}
    about = {
        "setting": asdict(Setting(n=64, largest=256, compiled=True)),
        "devices": ["cpu", "cuda"],
        "torch_threads": 2,
        "not_offered": {},
        "first_call_s": {},
        "errors": dict.fromkeys(small, 0.1),
        "gpu_before": state,
        "gpu_after": state,
    }
    machine = {"cpu": "a processor", "threads": 2, "gpu": {"name": "a GPU"}, "load_1_min": 0.0}
    timing.write(path, series, timing.described(**about) | {"machine": machine})
    return str(path)


def verdicts(monkeypatch, tmp_path, **changes):
    file = samples_with_a_gpu(tmp_path / "samples.json", **changes)
    return run(monkeypatch, "device_timings", samples=file)[0]


def test_times_as_predicted_hold(monkeypatch, tmp_path):
    found = verdicts(monkeypatch, tmp_path)
    assert set(found.values()) == {"holds"}
    assert found.keys() == OF_A_PROCESSOR | OF_A_GPU


@pytest.mark.parametrize(
    ("id", "change"),
    {
        "one-row": {"size_1": {"cpu: torch eager": 31}},
        "tensor-or-array": {"size_4": {"cpu: package on torch": 1400}},
        "compiled": {"size_4": {"cpu: torch compiled": 601}},
        "below-copy": {"size_4": {"cpu: copy": 601, "cpu: torch compiled": 599}},
        "half-bytes": {"formats": {"cpu: torch eager, float16": 2_000}},
        "numpy-half": {"formats": {"cpu: package on NumPy, float16": 9_000}},
        "gpu-half-bytes": {"formats": {"cuda: torch eager, float16": 90}},
        "gpu-one-row": {"size_1": {"cuda: torch eager": 1}},
        "gpu-largest": {"size_4": {"cpu: torch eager": 9, "cpu: copy": 1}},
        "gpu-bandwidth": {"size_4": {"cuda: torch eager": 15}},
        "launch": {"launch": {"one row": 11}},
        "transfer": {"transfer_4": {"there and back": 500}},
        "not-waiting": {"control": {"not waiting": 6}},
        "fused": {"size_4": {"cuda: fused kernel": 11}},
    }.items(),
)
def test_times_against_a_prediction_fail(id, change, monkeypatch, tmp_path):
    assert id in failing(verdicts(monkeypatch, tmp_path, **change))


def test_equal_times_show_no_difference(monkeypatch, tmp_path):
    equal = {"size_4": {"cpu: torch eager": 10.0, "cuda: torch eager": 10.0, "cpu: copy": 1}}
    assert verdicts(monkeypatch, tmp_path, **equal)["gpu-largest"] == "not testable here"


def test_it_wins_only_where_it_stays_ahead(monkeypatch, tmp_path):
    file = samples_with_a_gpu(tmp_path / "samples.json")
    _, names = run(monkeypatch, "device_timings", samples=file)
    assert names["crossover"]() == 4 * 64
    never = samples_with_a_gpu(tmp_path / "never.json", size_4={"cuda: torch eager": 700})
    _, names = run(monkeypatch, "device_timings", samples=never)
    assert names["crossover"]() is None
