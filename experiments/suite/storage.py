"""Where runs are kept: a folder of this machine, or any place that fsspec can reach.

In a folder a run works beside its target, is written through to the disk and then renamed: it is
there whole or not at all.  Elsewhere there is no such rename.  There each attempt is uploaded to a
folder of its own, and a marker that names the attempt, and each file with its hash, is written
last.  Only what a marker names is ever read, and a marker that is cut short counts as none.
"""

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from experiments.suite.errors import UserError

PARTIAL = ".partial-"
REPLACED = ".replaced-"
FAILED = ".failed"
MARKER = "complete.json"


class Store(Protocol):
    """A place that holds runs by name; a run that failed has a name that ends in ``.failed``."""

    url: str

    def prepare(self) -> None:
        """Make the place and see that it can be written; clean up after killed runs."""

    def names(self) -> set[str]:
        """Return the names of all runs that are there whole."""

    def has(self, name: str) -> bool:
        """Say whether a run is there whole."""

    def workspace(self) -> Iterator[Path]:
        """Yield a fresh folder of this machine to run in; a context manager."""

    def publish(self, folder: Path, name: str, *, replace: bool = False) -> None:
        """Make the contents of a folder the run of that name; keep an earlier one or replace it."""

    def remove(self, name: str) -> None:
        """Remove a run, if it is there."""

    def read(self, name: str, file: str) -> str:
        """Return the text of one file of a run; FileNotFoundError if there is none."""

    def location(self, name: str) -> str:
        """Say where a run is, for people."""


def open_store(place: str | Path) -> Store:
    """Return the store at a folder or a URL; nothing is touched yet.

    Raises
    ------
    UserError
        If fsspec does not know the URL's protocol.
    """
    text = str(place)
    if "://" not in text:
        return FolderStore(Path(place))
    if text.startswith(("file://", "local://")):
        return FolderStore(Path(urlsplit(text).path))
    return RemoteStore(text)


# --- a folder of this machine -----------------------------------------------------------------


class FolderStore:
    """Runs in a folder, each published by a rename."""

    def __init__(self, root: Path) -> None:
        self.root, self.url = root, str(root)

    def prepare(self) -> None:
        """Make the folder, see that files can be made in it, clean up after killed runs."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f"{PARTIAL}{uuid.uuid4().hex}.probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _unwritable(self.url, error) from None
        discard_leftovers(self.root)
        _put_back(self.root)

    def names(self) -> set[str]:
        """Return the names of the run folders."""
        if not self.root.is_dir():
            return set()
        return {
            path.name
            for path in self.root.iterdir()
            if path.is_dir() and not path.name.startswith((PARTIAL, REPLACED))
        }

    def has(self, name: str) -> bool:
        """Say whether there is such a run folder."""
        return (self.root / name).is_dir()

    def workspace(self):
        """Yield a folder beside the target, so that it can be renamed."""
        return partial_folder(self.root)

    def publish(self, folder: Path, name: str, *, replace: bool = False) -> None:
        """Rename a finished folder; where an equal run was quicker, keep that one."""
        _write_through(folder)
        target = self.root / name
        aside = self.root / f"{REPLACED}{name}"
        if replace and target.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
            target.rename(aside)  # killed after this, the next `prepare` puts it back
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        shutil.rmtree(aside, ignore_errors=True)
        _flush(self.root)

    def remove(self, name: str) -> None:
        """Remove a run folder."""
        shutil.rmtree(self.root / name, ignore_errors=True)

    def read(self, name: str, file: str) -> str:
        """Return the text of one file of a run."""
        return (self.root / name / file).read_text(encoding="utf-8")

    def location(self, name: str) -> str:
        """Return the path of a run folder."""
        return str(self.root / name)


@contextmanager
def partial_folder(root: Path) -> Iterator[Path]:
    """Yield a fresh folder to work in; remove what is left of it at the end.

    While it is used a lock is held beside it: a partial folder whose lock is free was left behind
    by a killed run.
    """
    folder = root / f"{PARTIAL}{uuid.uuid4().hex[:12]}"
    lock = _lock(folder)
    with lock:  # held before the folder exists, so that nobody takes it for a leftover
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def discard_leftovers(root: Path) -> None:
    """Remove the partial folders of runs that were killed; leave those of live runs alone."""
    for folder in root.glob(f"{PARTIAL}*/"):
        lock = _lock(folder)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _put_back(root: Path) -> None:
    """Give a run its name again that was put aside for another, which then did not come."""
    for aside in root.glob(f"{REPLACED}*/"):
        target = root / aside.name.removeprefix(REPLACED)
        if target.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(target)


def _lock(folder: Path) -> FileLock:
    return FileLock(f"{folder}.lock")


def _write_through(folder: Path) -> None:
    """See that a folder's contents are on the disk: a name must not outlive a power cut alone."""
    for path in [*folder.rglob("*"), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- elsewhere --------------------------------------------------------------------------------


class RemoteStore:
    """Runs at a URL, each published by a marker that is written last."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, self._root = fsspec.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise UserError(f"Cannot use {url}: {_brief(error)}.") from None
        self.url = url

    def prepare(self) -> None:
        """See that the place can be written; clean up the workspaces of killed runs."""
        probe = f"{self._root}/{PARTIAL}{uuid.uuid4().hex}"
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(probe, b"")
            self._files.rm_file(probe)
        except Exception as error:  # each filesystem has its own
            raise _unwritable(self.url, error) from None
        discard_leftovers(_scratch())

    def names(self) -> set[str]:
        """Return the names whose marker can be read."""
        markers = self._files.glob(f"{self._root}/*/{MARKER}")
        names = {marker.split("/")[-2] for marker in markers}
        return {name for name in names if self.has(name)}

    def has(self, name: str) -> bool:
        """Say whether a run's marker can be read."""
        return self._marker(name) is not None

    def workspace(self):
        """Yield a temporary folder of this machine."""
        return partial_folder(_scratch())

    def publish(self, folder: Path, name: str, *, replace: bool = False) -> None:
        """Upload an attempt, then write the marker that makes it the run of that name."""
        before = self._marker(name)
        if before and not replace:
            return
        attempt = uuid.uuid4().hex[:12]
        files = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside, content = path.relative_to(folder).as_posix(), path.read_bytes()
            self._put(f"{name}/{attempt}/{inside}", content)
            files[inside] = _sha256(content)
        marker = json.dumps({"attempt": attempt, "files": files})
        self._put(f"{name}/{MARKER}", marker.encode())
        if before:
            self._files.rm(f"{self._root}/{name}/{before['attempt']}", recursive=True)

    def remove(self, name: str) -> None:
        """Remove a run, its marker first."""
        if self._marker(name):
            self._files.rm_file(f"{self._root}/{name}/{MARKER}")
            self._files.rm(f"{self._root}/{name}", recursive=True)

    def read(self, name: str, file: str) -> str:
        """Return the text of one file that the marker names."""
        marker = self._marker(name) or {"files": {}}
        if file not in marker["files"]:
            raise FileNotFoundError(f"{self.location(name)} has no {file}")
        content = self._files.cat_file(f"{self._root}/{name}/{marker['attempt']}/{file}")
        if _sha256(content) != marker["files"][file]:
            raise OSError(f"{self.location(name)}/{file} is not what was uploaded")
        return content.decode()

    def location(self, name: str) -> str:
        """Return the URL of a run."""
        return f"{self.url.rstrip('/')}/{name}"

    def _put(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(target, content)

    def _marker(self, name: str) -> dict | None:
        try:
            return json.loads(self._files.cat_file(f"{self._root}/{name}/{MARKER}"))
        except (FileNotFoundError, ValueError):
            return None


def _scratch() -> Path:
    """Return the folder for work whose results are kept elsewhere."""
    folder = Path(tempfile.gettempdir()) / f"softmax-checked-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unwritable(url: str, error: Exception) -> UserError:
    return UserError(f"Cannot write results to {url}: {_brief(error)}.")


def _brief(error: Exception) -> str:
    """Return an error's reason on one line, to stand within a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = " ".join(text.split()).rstrip(".")
    return f"{text[0].lower()}{text[1:]}"
