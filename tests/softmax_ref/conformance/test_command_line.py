"""The command line: what it prints, its status, and one sentence for each mistake."""

import json
import os
import subprocess
import sys

import pytest

from softmax_ref.conformance.cli import main


def test_a_function_that_passes(capsys):
    assert main(["check", "softmax_ref:softmax", "--dtype", "float16", "--max-ulp", "0.51"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("softmax_ref:softmax as softmax in float16, given arrays of numpy")
    assert "26 of 26 right" in out
    assert out.endswith("\nok\n")


def test_a_function_that_falls_short(capsys):
    assert main(["check", "softmax_ref.textbook:softmax", "--dtype", "float16"]) == 1
    out = capsys.readouterr().out
    assert "wrong: large: returned the wrong values" in out
    assert "nan where a number belongs" in out
    assert main(["check", "torch:softmax", "--dtype", "float32", "--max-ulp", "1"]) == 1
    assert "falls short" in capsys.readouterr().out


def test_a_format_that_is_not_offered(capsys):
    assert main(["check", "torch:softmax", "--dtype", "float8_e5m2"]) == 1
    assert "not offered: raised NotImplementedError" in capsys.readouterr().out


def test_json(capsys):
    assert main(["check", "scipy.special:logsumexp", "--op", "logsumexp", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["function"] == "scipy.special:logsumexp"


def test_the_table(capsys):
    arguments = ["report", "--library", "SciPy", "--op", "softmax", "--dtype", "float16"]
    assert main(arguments) == 0
    heads, row, *_ = capsys.readouterr().out.splitlines()
    assert heads.split()[:3] == ["library", "operation", "format"]
    assert row.split()[-1] == "65519"
    assert main([*arguments, "--json"]) == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert plain["status"] == "measured"


def test_the_failures(capsys):
    assert main(["failures", "--library", "scipy"]) == 0
    assert "uint8-softmax-scipy: still so (scipy 1" in capsys.readouterr().out
    assert main(["failures", "--library", "ml_dtypes", "--json"]) == 0
    assert {one["verdict"] for one in json.loads(capsys.readouterr().out)} == {"still so"}


def test_a_reader_that_has_seen_enough():
    """As under `| head`: the pipe is closed before anything is written; no traceback."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "softmax_ref.conformance", "failures", "--library", "scipy"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "arguments are required: COMMAND"),
        (["chek"], "invalid choice: 'chek' (choose from 'check', 'report', 'failures')"),
        (["check"], "arguments are required: MODULE:FUNCTION"),
        (["check", "numpy"], "must look like package.module:function; got 'numpy'"),
        (["check", "scypy:softmax"], "Module 'scypy' cannot be imported"),
        (["check", "scipy.special:softmx"], "There is no 'softmx' in scipy.special"),
        (["check", "scipy:__version__"], "cannot be called: its type is str"),
        (["check", "math:exp"], "works with neither axis= nor dim="),
        (["check", "a:b", "--op", "softmin"], "'softmin', choose one of softmax, log_softmax"),
        (["check", "a:b", "--dtype", "float61"], "(did you mean float64?)"),
        (["check", "a:b", "--max-ulp", "-1"], "give a number of at least 0, not '-1'"),
        (["check", "a:b", "--max-ulp", "nan"], "not 'nan'"),
        (["check", "a:b", "--max-ulp"], "expected one argument"),
        (["check", "a:b", "--seed", "x"], "give an integer of at least 0, not 'x'"),
        (["check", "a:b", "--array", "jax"], "'jax', choose one of numpy, torch"),
        (["check", "a:b", "--dtpe", "float32"], "Unrecognized arguments: --dtpe"),
        (["report", "--library", "Scipy"], "(did you mean SciPy?)"),
        (["failures", "--library", "numpy"], "'numpy', choose one of"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert err[0].isupper()


def test_it_is_a_module_that_can_be_run():
    run = subprocess.run(
        [sys.executable, "-m", "softmax_ref.conformance", "check", "nowhere"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("Target must look like")
    assert "Traceback" not in run.stderr
