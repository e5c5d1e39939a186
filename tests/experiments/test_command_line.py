"""The command line: what it lists, and one sentence and status 2 for each mistake."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.suite import catalogue, cli, records, run
from experiments.suite.errors import either

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = either(sorted(path.stem for path in catalogue.FOLDER.glob("*.ipynb")))
COMMANDS = "list, run, sweep, status, compare, record or report"
NAMES = "dtype, algorithm, n, rows, scale_min, scale_max, scale_steps or seed"
FORMATS = "float16, bfloat16, float32 or float64"

BAD_INPUTS = {
    "rnu overflow": f"Unknown command 'rnu': choose {COMMANDS} (did you mean run?).",
    "run": "Missing argument 'NAME': see `python -m experiments run --help`.",
    "run overfow": f"Unknown experiment 'overfow': choose {EXPERIMENTS} (did you mean overflow?).",
    "run ../overflow": f"Unknown experiment '../overflow': choose {EXPERIMENTS} "
    "(did you mean overflow?).",
    "run overflow underflow": "Got unexpected extra argument (underflow): "
    "see `python -m experiments run --help`.",
    "run overflow --uot x": "Unknown option '--uot': choose -p, --parameter, --again, --out, "
    "--json or --help (did you mean --out?).",
    "run overflow -p": "Option '-p' requires 2 arguments: see `python -m experiments --help`.",
    "run overflow -p n": "Option '-p' requires 2 arguments: see `python -m experiments --help`.",
    "run overflow -p dytpe float16": f"Unknown parameter 'dytpe': choose {NAMES} "
    "(did you mean dtype?).",
    "run overflow -p colour red": f"Unknown parameter 'colour': choose {NAMES}.",
    "run overflow -p dtype flot16": f"Parameter dtype cannot be 'flot16': give {FORMATS} "
    "(did you mean float16?).",
    "run overflow -p dtype Float32": f"Parameter dtype cannot be 'Float32': give {FORMATS} "
    "(did you mean float32?).",
    "run overflow -p dtype 16": f"Parameter dtype cannot be '16': give {FORMATS}.",
    "run overflow -p algorithm textbok": "Parameter algorithm cannot be 'textbok': "
    "give textbook or stable (did you mean textbook?).",
    "run overflow -p n eight": "Parameter n cannot be 'eight': give an integer from 2 to 100000.",
    "run overflow -p n 2.5": "Parameter n cannot be '2.5': give an integer from 2 to 100000.",
    "run overflow -p n 1": "Parameter n cannot be '1': give an integer from 2 to 100000.",
    "run overflow -p seed -1": "Parameter seed cannot be '-1': "
    "give an integer from 0 to 4294967295.",
    "run overflow -p scale_max nan": "Parameter scale_max cannot be 'nan': "
    "give a number above 0 and up to 5000.",
    "run overflow -p scale_max inf": "Parameter scale_max cannot be 'inf': "
    "give a number above 0 and up to 5000.",
    "run overflow -p scale_min 20 -p scale_max 3": "Parameter scale_min is 20 and scale_max is 3: "
    "give a scale_min below scale_max.",
    "sweep quik": "Unknown sweep 'quik': choose full, quick or the path of a .yml file "
    "(did you mean quick?).",
    "sweep nowhere.yml": "Cannot read the sweep nowhere.yml: no such file or directory.",
    "list --jsn": "Unknown option '--jsn': choose --json or --help (did you mean --json?).",
    "list overflow": "Got unexpected extra argument (overflow): "
    "see `python -m experiments list --help`.",
    "run overflow -p n 3 -p n 4": "Parameter n is given more than once.",
    "run overflow --out s4://bucket": "Cannot use s4://bucket: protocol not known: s4.",
    "sweep": "Missing argument 'NAME': see `python -m experiments sweep --help`.",
    "sweep quick --workers 0": "Invalid value for '--workers': 0 is not in the range 1<=x<=256: "
    "see `python -m experiments sweep --help`.",
    "sweep quick --workers two": "Invalid value for '--workers': "
    "'two' is not a valid integer range: see `python -m experiments sweep --help`.",
    "sweep quick --workers 2 --scheduler tcp://127.0.0.1:1": "Give either --workers or "
    "--scheduler: a cluster has its own workers.",
    "sweep quick --scheduler": "Option '--scheduler' requires an argument: "
    "see `python -m experiments --help`.",
    "sweep quick --scheduler tcp://127.0.0.1:1 --out memory://runs": "Results in memory:// "
    "cannot be shared with a cluster: give a folder.",
    "status quik": "Unknown sweep 'quik': choose full, quick or the path of a .yml file "
    "(did you mean quick?).",
    "status nowhere.yml": "Cannot read the sweep nowhere.yml: no such file or directory.",
    "compare x --out nowhere": "Unknown run 'x': give a run's folder, its name, or MACHINE/NAME "
    "of a recorded run.",
    "compare --out nowhere": "There is nothing to compare: no recorded run has the experiment "
    "and the parameters of a complete run in nowhere.",
    "compare a b c": "Got unexpected extra argument (c): "
    "see `python -m experiments compare --help`.",
    "compare experiments --out nowhere": "experiments is not a complete run: "
    "it needs provenance.json and conclusions.json.",
    "record": "Missing argument 'RUN': see `python -m experiments record --help`.",
    "record x --out nowhere": "Unknown run 'x': give a run's folder, its name, or MACHINE/NAME "
    "of a recorded run.",
    "report x --out nowhere": "Unknown run 'x': give a run's folder, its name, or MACHINE/NAME "
    "of a recorded run.",
    "report --out nowhere": "There is nothing to report: no run is complete in nowhere.",
}

BAD_SWEEPS = {
    "runs: [": "line 1: expected the node content, but found '<stream end>'",
    "[1, 2]": "the file: input should be a valid dictionary or instance of Sweep",
    "runs: []": "runs: list should have at least 1 item after validation, not 0",
    "runs: [{experiment: overflow, gird: {}}]": "runs.0.gird: extra inputs are not permitted",
    "runs: [{experiment: overflow, grid: {n: 3}}]": "runs.0.grid.n: input should be a valid list",
    "runs: [{experiment: overflow, parameters: {n: 3}, grid: {n: [4]}}]": "runs.0: "
    "n stands in parameters and in grid",
    "": "the file: input should be a valid dictionary or instance of Sweep",
}


@pytest.fixture
def no_kernel(monkeypatch):
    """Fail if a notebook's process is started."""

    def start(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(run, "_worker", start)
    monkeypatch.setattr(records, "RECORDED", Path("nowhere"))
    monkeypatch.chdir(ROOT)


def refusal(arguments, capsys):
    """Run a bad command line and return its sentence."""
    status = cli.main(arguments)
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    return err.strip()


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(("line", "sentence"), BAD_INPUTS.items(), ids=BAD_INPUTS)
def test_a_mistake_gets_one_sentence(line, sentence, capsys):
    assert refusal(line.split(), capsys) == sentence


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(("content", "reason"), BAD_SWEEPS.items(), ids=BAD_SWEEPS)
def test_a_bad_sweep_gets_one_sentence(content, reason, tmp_path, capsys):
    path = tmp_path / "mine.yml"
    path.write_text(content, encoding="utf-8")
    assert refusal(["sweep", str(path)], capsys) == f"Cannot read the sweep {path}: {reason}."


@pytest.mark.usefixtures("no_kernel")
def test_a_sweep_is_checked_whole_before_it_starts(tmp_path, capsys):
    path = tmp_path / "mine.yml"
    path.write_text("runs: [{experiment: overflow, grid: {n: [10, 1]}}]", encoding="utf-8")
    expected = "Parameter n cannot be 1: give an integer from 2 to 100000."
    assert refusal(["sweep", str(path)], capsys) == expected


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("inside", ["", "deeper"])
def test_an_unwritable_folder_gets_one_sentence(inside, tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / inside
    reason = "not a directory" if inside else "file exists"
    assert refusal(["run", "overflow", "--out", str(out)], capsys) == (
        f"Cannot write results to {out}: {reason}."
    )


@pytest.mark.usefixtures("no_kernel")
def test_a_folder_that_the_system_protects_gets_one_sentence(capsys):
    said = refusal(["run", "overflow", "--out", "/sys/runs"], capsys)  # closed to root as well
    reasons = "operation not permitted|permission denied|read-only file system"
    assert re.fullmatch(f"Cannot write results to /sys/runs: ({reasons})\\.", said)


def test_the_process_ends_with_status_2_and_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "experiments", "run", "overfow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == BAD_INPUTS["run overfow"] + "\n"


def test_list_shows_question_parameters_defaults_and_choices(capsys):
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    for text in ("overflow: At which logits", "scale_steps", "1000.0", "textbook or stable"):
        assert text in shown


@pytest.mark.parametrize("line", ["--help", *(f"{name} --help" for name in cli.app.commands)])
def test_help_is_not_a_mistake(line, capsys):
    assert cli.main(line.split()) == 0
    assert "Usage: python -m experiments" in capsys.readouterr().out


def test_starting_the_command_line_imports_no_heavy_library():
    heavy = {"torch", "scipy", "sklearn", "matplotlib", "pandas", "numpy", "papermill"}
    heavy |= {"fsspec", "distributed", "dask", "yaml"}
    code = f"import sys, experiments.suite.cli; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == []
