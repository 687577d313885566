import os
import signal
import threading
from contextlib import suppress


class Interrupt:
    """Turns the first Ctrl-C into a request to stop after the current frame; the second one works as always."""

    def __init__(self) -> None:
        self.requested = False
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interrupt":
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _request(self, *_: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self._before)
        tell("interrupted: finishing this frame and closing the files")


def tell(message: str) -> None:
    """Writes a line to the standard error of the process from within a signal handler.

    A handler may run while its program is halfway through a print, of a progress bar for one, and Python refuses a
    second print inside the first with a RuntimeError. So this one goes past Python's streams and their buffers.
    """
    with suppress(OSError):  # nobody listens
        os.write(2, f"\n{message}\n".encode())
