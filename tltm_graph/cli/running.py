"""Run a command: errors in plain words, signals, and JSON output."""

import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tltm_graph.printable import one_line

_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Signals of Ctrl-C, of docker stop, of a closed terminal, and of SLURM before the time is up."""

_REPEATED = 2.0  # seconds in which further signals are the same wish: to a process and its group, or a nervous finger


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def _handling(handler: Callable[[int], None]) -> Iterator[None]:
    """Context in which the signals that end a command call ``handler``, at most every two seconds.

    Signals that the parent of this process chose to ignore, as nohup does, stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = -_REPEATED

    def handle(number: int, _: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPEATED:
            last = now
            handler(number)

    previous = {number: signal.getsignal(number) for number in _STOPPING}
    previous = {number: old for number, old in previous.items() if old not in (signal.SIG_IGN, None)}
    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def run_reporting_errors(work: Callable[[], int], show_traceback: bool) -> int:
    """Run a command and report errors and warnings as single lines.

    Args:
        work: Imports what it needs, does the work, and returns the exit status.
        show_traceback: Print the traceback of an unexpected error.

    Returns:
        Exit status: that of ``work``, 1 after an error, 128 + its number after a signal: 130 after Ctrl-C.
    """
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        raise Interrupted(number)

    with _handling(stop):
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                warnings.simplefilter("ignore")  # advice of other libraries to their developers
                warnings.simplefilter("always", UserWarning)
                return work()
        except KeyboardInterrupt as error:
            number = getattr(error, "number", signal.SIGINT)
            sys.unraisablehook = lambda _: None  # half-made objects may complain when they are freed
        except Exception as error:
            if not received:
                _print_error(error, show_traceback)
                return 1
            number = received[0]  # an import that a signal interrupts may fail in any way
    print("error: interrupted", file=sys.stderr)
    return 128 + number


def _print_error(error: Exception, show_traceback: bool) -> None:
    if isinstance(error, ValueError | OSError | ImportError):
        print(f"error: {_lines(error)}", file=sys.stderr)
        return
    place = traceback.extract_tb(error.__traceback__)[-1]  # a detector of the user may raise anything
    print(
        f"error: {type(error).__name__}: {_lines(error)} (in {place.filename}, line {place.lineno}; "
        "--traceback prints the whole traceback)",
        file=sys.stderr,
    )
    if show_traceback:
        traceback.print_exception(error)


def _lines(text: object) -> str:
    """The text without control characters, which a name from a file may hold; line breaks of our own stay."""
    return "\n".join(one_line(line) for line in str(text).split("\n"))


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"\nwarning: {_lines(message)}", file=sys.stderr)  # a progress bar may be on the current line


class Interrupt:
    """Context in which the first signal is a request to stop; one after two seconds raises :class:`Interrupted`.

    Attributes:
        number: Number of the signal, None without one.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._handling = _handling(self._request)

    @property
    def requested(self) -> bool:
        """True after a signal."""
        return self.number is not None

    @property
    def name(self) -> str | None:
        """Name of the signal, such as ``"SIGINT"``; None without one."""
        return None if self.number is None else signal.Signals(self.number).name

    def raise_if_requested(self) -> None:
        """Raise :class:`Interrupted` after a signal, for work that has no partial result."""
        if self.number is not None:
            raise Interrupted(self.number)

    def __enter__(self) -> "Interrupt":
        self._handling.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._handling.__exit__(*error)

    def _request(self, number: int) -> None:
        if self.number is not None:
            raise Interrupted(number)
        self.number = number
        print_in_handler("interrupted: finishing this frame and closing the files")


def interrupted_status(name: str | None) -> int:
    """Exit status of a command that the named signal ended, 0 without a signal."""
    return 0 if name is None else 128 + signal.Signals[name]


def print_in_handler(message: str) -> None:
    """Write a line to standard error from a signal handler.

    A handler may run in the middle of a print, for example of a progress bar, and Python refuses a print within a print
    with a RuntimeError. This function therefore writes past Python's streams and their buffers.
    """
    with suppress(OSError):  # standard error is closed
        os.write(2, f"\n{message}\n".encode())


def write_json(path: str | Path, content: Any, indent: int = 2, ensure_ascii: bool = False) -> None:
    """Write a JSON file that appears when it is complete."""
    from tltm_graph.io.output import write_atomically

    with write_atomically(path) as temporary:
        text = json.dumps(content, indent=indent, ensure_ascii=ensure_ascii)
        temporary.write_text(text + "\n", encoding="utf-8")
