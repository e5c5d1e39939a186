"""Make the virtual environment `.venv` and install the pinned requirements into it.

Runs with Python 3.6 or newer, so that one that is too old gets a sentence and not a traceback.
Exit status 2 for what the reader can mend: the Python, the disk, the network.
"""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
OLDEST, NEWEST = (3, 11), (3, 13)
FREE_GIB = 4  # the CPU build needs 1.5 GiB, and pip unpacks beside it


def fail(sentence):
    """End with one sentence and status 2."""
    sys.stderr.write(sentence + "\n")
    sys.exit(2)


def check_python(version):
    """Refuse a Python for which the pinned packages have no builds."""
    if not OLDEST <= version <= NEWEST:
        fail(
            "This is Python {}.{}; the pinned packages need 3.11, 3.12 or 3.13: "
            "name one with `make PYTHON=python3.11 ...`.".format(*version)
        )


def check_disk(free_bytes):
    """Refuse to start an installation that the disk cannot hold."""
    free = free_bytes / 2.0**30
    if free < FREE_GIB:
        fail(f"Only {free:.1f} GiB of disk are free here; installing needs {FREE_GIB} GiB.")


def run(command, sentence):
    """Run one installation step; on failure show its last lines, then say what it means."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stderr.write("\n".join(done.stdout.decode(errors="replace").splitlines()[-8:]) + "\n")
        fail(sentence)


def main():
    """Install whole or not at all: the file `ready` is written last."""
    check_python(sys.version_info[:2])
    check_disk(shutil.disk_usage(ROOT).free)
    print("Making .venv and installing the pinned packages (a minute or two) ...", flush=True)
    run(
        [sys.executable, "-m", "venv", VENV],
        "Python's venv module does not work here; on Debian or Ubuntu install python3-venv.",
    )
    pip = [os.path.join(VENV, "bin", "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--only-binary=:all:"]  # so that no compiler is needed
    run(
        [*pip, "-r", "requirements.txt"],
        "The packages could not be installed: pip's last lines are above; "
        "it needs a network, and a platform for which all of them are built.",
    )
    run(
        [*pip, "--no-build-isolation", "--no-deps", "--editable", "."],
        "The project itself could not be installed: pip's last lines are above.",
    )
    with open(os.path.join(VENV, "ready"), "w"):
        pass


if __name__ == "__main__":
    main()
