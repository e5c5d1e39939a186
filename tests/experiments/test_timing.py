"""Timing against synthetic clocks, whose truth is known: differences, drift, coverage, keeping."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import timing
from experiments.timing import Estimate, Timings, WallClock, estimate, measure

SOURCE = Path(timing.__file__)
QUIET = {"sample_seconds": 0, "warm_up_seconds": 0}


class World:
    """A machine whose time passes only while work is done on it."""

    def __init__(self, seed=0, noise=0.02, drift=0.0, spikes=0.0):
        self.nanoseconds, self.random = 0, random.Random(seed)
        self.noise, self.drift, self.spikes = noise, drift, spikes
        self.calls = 0

    def clock(self):
        return WallClock(counter=lambda: self.nanoseconds)

    def work(self, seconds):
        """Return work that takes so long, with noise, spikes and what the drift adds."""

        def work():
            self.calls += 1
            taken = seconds * (1 + self.drift * self.calls)
            taken *= math.exp(self.random.gauss(0, self.noise))
            if self.random.random() < self.spikes:
                taken *= self.random.uniform(2, 20)
            self.nanoseconds += round(taken * 1e9)

        return work


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))


def ratio(world, second, **limits):
    works = {"first": world.work(1e-3), "second": world.work(second * 1e-3)}
    return measure(works, clock=world.clock(), **QUIET | limits).ratio("second", to="first")


# --- differences ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_difference_of_five_percent_is_found(seed):
    assert ratio(World(seed, spikes=0.1), 1.05, precision=0.01).verdict == "slower"
    assert ratio(World(seed, spikes=0.1), 1 / 1.05, precision=0.01).verdict == "faster"


def test_no_difference_is_not_found():
    """Of 300 comparisons of equal work, no more than 5% and three standard errors show one."""
    found = [ratio(World(seed), 1.0, precision=0.01).verdict for seed in range(300)]
    shown = sum(verdict != "no difference shown" for verdict in found)
    assert shown <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


@pytest.mark.parametrize("drift", [2e-3, -5e-4])
def test_a_linear_drift_is_no_difference_but_is_noticed(drift):
    """Each call takes 0.2% more than the last: a pair differs by that, in turns up and down."""
    world = World(noise=0.0, drift=drift)
    works = {"first": world.work(1e-3), "second": world.work(1e-3)}
    timings = measure(works, clock=world.clock(), precision=0, max_rounds=200, **QUIET)
    assert timings.ratio("second", "first").verdict == "no difference shown"
    assert any("drifted" in notice for notice in timings.notices)


def test_a_drift_does_not_hide_a_difference():
    assert ratio(World(noise=0.005, drift=1e-3), 1.05, precision=0.005).verdict == "slower"


def test_always_in_the_same_order_a_drift_would_fool_it():
    """The planted fault: without turning the order, the ratio is off by one call's drift."""
    world = World(noise=0.0, drift=2e-3)
    first, second = world.work(1e-3), world.work(1e-3)
    clock = world.clock()
    pairs = [(clock.seconds(first, 1), clock.seconds(second, 1)) for _ in range(50)]
    assert estimate([b / a for a, b in pairs]).verdict == "slower"


# --- coverage -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 7, 20, 100])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_covers_as_often_as_the_binomial_says(n, confidence):
    """For 4,000 skewed samples; at most four standard errors from the exact probability."""
    rank = timing._rank(n, confidence)
    exact = 1 - 2 * sum(math.comb(n, i) for i in range(rank)) / 2**n if rank else 1.0
    assert exact >= confidence
    samples = np.random.default_rng(n).lognormal(0, 1, (4_000, n))  # its median is 1
    found = [estimate(row, confidence) for row in samples]
    covered = np.mean([e.low <= 1 <= e.high for e in found])
    assert abs(covered - exact) <= 4 * math.sqrt(exact * (1 - exact) / 4_000)


def test_one_more_rank_would_cover_too_little():
    for n in (6, 20, 1_000, 2_000):
        rank = timing._rank(n, 0.95)
        assert sum(math.comb(n, i) for i in range(rank + 1)) * 40 > 2**n


def test_ending_when_precise_costs_little_coverage():
    """Measuring ends at a look that likes the interval; still 93% of 500 cover the truth."""
    covered = 0
    for seed in range(500):
        world = World(seed, noise=0.1)
        timings = measure({"w": world.work(1e-3)}, clock=world.clock(), precision=0.04, **QUIET)
        e = timings.median("w")
        covered += e.low <= 1e-3 <= e.high
    assert covered / 500 >= 0.93 - 3 * math.sqrt(0.93 * 0.07 / 500)


def test_too_few_samples_bound_nothing():
    assert estimate([1.0] * 5) == Estimate(1.0, 0.0, math.inf)
    assert estimate([2.0] * 5).verdict == "no difference shown"


# --- how long it measures -------------------------------------------------------------------


def test_it_ends_when_precise_enough_and_not_before():
    world = World(noise=0.05)
    loose = measure({"w": world.work(1e-3)}, clock=world.clock(), precision=0.05, **QUIET)
    tight = measure({"w": world.work(1e-3)}, clock=world.clock(), precision=0.01, **QUIET)
    assert loose.precise
    assert tight.precise
    assert loose.median("w").precision <= 0.05
    assert tight.median("w").precision <= 0.01
    assert 10 <= len(loose.seconds["w"]) < len(tight.seconds["w"])


@pytest.mark.parametrize("limit", [{"max_seconds": 0.1}, {"max_rounds": 100}])
def test_a_limit_ends_it_and_is_told(limit):
    world = World(noise=0.5)
    timings = measure({"w": world.work(1e-3)}, clock=world.clock(), precision=1e-3, **QUIET | limit)
    assert not timings.precise
    assert 60 <= len(timings.seconds["w"]) <= 130
    assert "where 0.1% was asked for" in timings.notices[0]


def test_short_work_is_repeated_within_a_sample():
    world = World(noise=0)
    timings = measure({"w": world.work(1e-6)}, clock=world.clock(), sample_seconds=1e-3)
    assert 1_000 <= timings.loops["w"] <= 2_000
    assert timings.median("w").value == pytest.approx(1e-6)


def test_warm_up_counts_for_nothing():
    """The first call is a hundred times slower, as when code is compiled on first use."""
    world = World(noise=0)
    usual, slow = world.work(1e-3), world.work(1e-1)
    timings = measure(
        {"w": lambda: slow() if world.calls == 0 else usual()},
        clock=world.clock(),
        sample_seconds=0,
        warm_up_seconds=0.05,
    )
    assert max(timings.seconds["w"]) == pytest.approx(1e-3)


def test_preparation_comes_before_each_single_call_and_is_not_timed():
    world, prepared = World(noise=0), []
    evict = world.work(1.0)
    timings = measure(
        {"w": world.work(1e-6)},
        clock=world.clock(),
        prepare=lambda: prepared.append(evict()),
        max_rounds=12,
        max_seconds=1e9,
    )
    assert timings.loops == {"w": 1}
    assert len(prepared) == len(timings.seconds["w"])
    assert timings.median("w").value == pytest.approx(1e-6)


# --- what spoils a measurement --------------------------------------------------------------


def test_a_busy_machine_is_noticed(monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (50.0, 0.0, 0.0))
    world = World(noise=0)
    timings = measure({"w": world.work(1e-3)}, clock=world.clock(), **QUIET)
    assert timings.notices[0].startswith("The machine was busy before the first sample: load 50.0")


def test_throttling_half_way_is_noticed():
    world = World(noise=0.01)
    usual, slowed = world.work(1e-3), world.work(1.3e-3)
    timings = measure(
        {"w": lambda: (usual if world.calls < 60 else slowed)()},
        clock=world.clock(),
        precision=0,
        max_rounds=120,
        **QUIET,
    )
    assert any("w drifted: its last third took 3" in notice for notice in timings.notices)


def test_a_steady_quiet_machine_gets_no_notice():
    world = World(noise=0.01)
    timings = measure({"w": world.work(1e-3)}, clock=world.clock(), **QUIET)
    assert timings.notices == []


# --- devices --------------------------------------------------------------------------------


class Device:
    """A device that works by itself: asking takes 10 µs, the work 1 ms, waiting the rest."""

    def __init__(self):
        self.now = self.idle_from = 0

    def work(self):
        self.now += 10_000
        self.idle_from = max(self.now, self.idle_from) + 1_000_000

    def synchronise(self):
        self.now = max(self.now, self.idle_from)

    def clock(self, **kwargs):
        return WallClock(self.synchronise, counter=lambda: self.now, **kwargs)


def test_a_clock_that_waits_sees_the_work_and_one_that_does_not_sees_the_asking():
    device = Device()
    assert device.clock().seconds(device.work, 5) == pytest.approx(5.01e-3)
    assert device.clock(wait=False).seconds(device.work, 5) == pytest.approx(5e-5)
    assert device.now == device.idle_from  # the control leaves nothing for the next sample to pay


def test_each_work_may_have_its_own_clock():
    device = Device()
    works = {"device": device.work, "asking": device.work}
    clocks = {"device": device.clock(), "asking": device.clock(wait=False)}
    timings = measure(works, clock=clocks, **QUIET)
    assert timings.ratio("device", to="asking").value == pytest.approx(101)
    assert timings.clocks == {"device": "wall clock", "asking": "wall clock, not synchronised"}


def test_events_time_the_device_and_not_the_asking(monkeypatch):
    """CUDA events, imitated: an event is recorded when the device comes to it."""
    device = Device()

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = max(device.now, device.idle_from)

        def elapsed_time(self, later):
            assert device.now >= later.at, "it was not waited for"
            return (later.at - self.at) / 1e6

    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.synchronize", device.synchronise)
    assert timing.clock_for("cuda").seconds(device.work, 5) == pytest.approx(5.01e-3)


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="there is no GPU")
def test_the_control_on_a_gpu_sees_less_than_events_do():
    series = timing.check("cuda", 2**28)
    blind, true = series["unsynchronised"].median("copy"), series["copy"].median("copy")
    assert blind.high < true.low


# --- memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_copy_copies_and_its_bandwidth_counts_both_ways(library):
    limits = {"max_seconds": 0.02, "warm_up_seconds": 0, "max_rounds": 10}
    rate = timing.copy_bandwidth(2**20, library=library, **limits)
    assert 1e8 < rate.value < 1e13  # bytes a second, on any machine of today
    assert rate.low <= rate.value <= rate.high


def test_eviction_touches_every_byte():
    evict = timing.evict(1_000)
    block = evict.__closure__[0].cell_contents
    evict()
    assert block.tolist() == [1] * 1_000


# --- the machine and the file ---------------------------------------------------------------


def test_samples_and_machine_survive_the_file(tmp_path):
    world = World()
    before = {"series": measure({"w": world.work(1e-3)}, clock=world.clock(), **QUIET)}
    timing.write(tmp_path / "t.json", before, timing.described(sizes=[1, 2]))
    after, rest = timing.read(tmp_path / "t.json")
    assert after == before
    assert rest["about"] == {"sizes": [1, 2]}
    assert rest["machine"]["cpu"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_another_schema_is_refused(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(ValueError, match="has schema 99: expected 1"):
        timing.read(tmp_path / "t.json")


SMI = """\
#!/bin/sh
case "$1" in
*throttle*) echo "1755 MHz, 1980 MHz, 84, 690.12 W, 0x0000000000000024" ;;
*) echo "NVIDIA X1, 81559 MiB, 550.54" ;;
esac"""


def test_the_gpu_says_what_it_is_and_what_slows_it(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert timing.gpu()["name"] == "NVIDIA X1"
    assert timing.gpu_state()["slowed_by"] == ["power cap", "temperature"]


def test_without_a_gpu_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert timing.gpu() is None
    assert timing.gpu_state() is None


def test_it_runs_where_only_numpy_is(tmp_path):
    """Copied elsewhere and isolated from the project and from torch, it still measures."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"import runpy; names = runpy.run_path({str(SOURCE)!r})\n"
        "t = names['measure']({'a': lambda: sum(range(99))}, max_seconds=0.01)\n"
        "print(t.median('a').value > 0, names['machine']()['torch'])\n"
        "print({m.split('.')[0] for m in sys.modules if m[0] != '_'} & "
        "{'pandas', 'psutil', 'experiments', 'scipy', 'cpuinfo'})"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["True None", "set()"], done.stderr


def test_the_check_of_a_machine_reports_and_keeps(tmp_path, monkeypatch, capsys):
    world = World()
    small = Timings({"copy": [1e-3] * 10}, {}, {}, 0.95, 0.02, True, ["It was busy."])
    same = measure({"one": world.work(1e-3), "other": world.work(1e-3)}, clock=world.clock())
    monkeypatch.setattr(timing, "check", lambda device: {"copy": small, "same": same})
    timing.main(["--out", str(tmp_path / "t.json")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Copy bandwidth: 536.9 GB/s")
    assert lines[1].endswith("no difference shown.")
    assert lines[2] == "It was busy."
    assert timing.read(tmp_path / "t.json")[0].keys() == {"copy", "same"}
