"""What a reader's machine may lack ends in one sentence and status 2."""

import sys

import pytest

from tools import bootstrap


def _sentence(capsys, function, *arguments):
    with pytest.raises(SystemExit) as stop:
        function(*arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (3, 14)])
def test_an_unsupported_python(capsys, version):
    """Its number, the valid ones and the way out are named."""
    [line] = _sentence(capsys, bootstrap.check_python, version)
    assert f"This is Python {version[0]}.{version[1]}" in line
    assert "3.11, 3.12 or 3.13" in line


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_supported_python(version):
    """The three supported versions pass."""
    bootstrap.check_python(version)


def test_a_full_disk(capsys):
    """What is free and what is needed are named."""
    [line] = _sentence(capsys, bootstrap.check_disk, 2**30)
    assert line == "Only 1.0 GiB of disk are free here; installing needs 4 GiB."


def test_a_disk_with_room():
    """Ten gibibytes are enough."""
    bootstrap.check_disk(10 * 2**30)


def test_a_failed_step_shows_its_last_lines(capsys):
    """What the command printed comes first, then the sentence."""
    command = [sys.executable, "-c", "print('no matching distribution'); raise SystemExit(1)"]
    lines = _sentence(capsys, bootstrap.run, command, "The packages could not be installed.")
    assert lines == ["no matching distribution", "The packages could not be installed."]
