"""One run takes times while all the others stand still."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet:
    """Knows which runs of a sweep work, and which one takes times.

    Only taking the times needs the machine.  What a run does before and after, such as loading its
    libraries and drawing its figures, may go on beside other runs.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._taking_times = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be at work, from when nobody takes times."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taking_times)
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
