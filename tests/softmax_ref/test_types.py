"""The package is typed: mypy finds nothing in its strict mode."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_mypy_finds_nothing(tmp_path):
    package = ROOT / "softmax_ref"
    own = [*package.glob("*.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    result = subprocess.run(
        [*command, f"--cache-dir={ROOT / '.mypy_cache'}", *map(str, own)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout
