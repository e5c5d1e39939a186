"""How many runs work at once; and one takes times while all the others stand still."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet:
    """Knows how many runs of a sweep work, and whether one takes times.

    Only taking the times needs the machine.  What a run does before and after, such as loading its
    libraries and drawing its figures, may go on beside other runs.

    Parameters
    ----------
    workers : int
        How many runs may work at once.  One that waits to be alone does not count.
    """

    def __init__(self, workers: int = 1) -> None:
        self._changed = threading.Condition()
        self._workers = workers
        self._working = 0
        self._taking_times = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be at work, as soon as another one may be and nobody takes times."""
        with self._changed:
            self._changed.wait_for(lambda: self._working < self._workers and not self._taking_times)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Stand still until all who work do so or have ended, and then be the only one at work."""
        with self._changed:
            self._working -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._working and not self._taking_times)
            self._taking_times = True
        try:
            yield
        finally:
            with self._changed:
                self._taking_times = False
                self._working += 1
                self._changed.notify_all()
