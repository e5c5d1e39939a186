"""The package is typed: mypy finds nothing in its strict mode."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_mypy_finds_nothing_in_any_module():
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "softmax_ref"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout
    modules = [*(ROOT / "softmax_ref").rglob("*.py")]
    assert f"no issues found in {len(modules)} source files" in result.stdout


def test_no_comment_silences_a_whole_module():
    """A comment may silence one kind of error in one line; mypy refuses it without the kind."""
    for path in (ROOT / "softmax_ref").rglob("*.py"):
        assert not re.search(r"^# (mypy|type):", path.read_text(encoding="utf-8"), re.MULTILINE)
