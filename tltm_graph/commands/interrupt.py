import signal
import threading
import warnings


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
        warnings.warn("interrupted: finishing this frame and closing the files", stacklevel=2)
