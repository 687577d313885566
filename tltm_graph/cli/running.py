"""Run a command: errors in plain words, Ctrl-C, and JSON output."""

import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def run_reporting_errors(work: Callable[[], int], show_traceback: bool) -> int:
    """Run a command and report errors and warnings as single lines.

    Args:
        work: Imports what it needs, does the work, and returns the exit status.
        show_traceback: Print the traceback of an unexpected error.

    Returns:
        Exit status: that of ``work``, 1 after an error, 130 after Ctrl-C.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            warnings.simplefilter("ignore")  # advice of other libraries to their developers
            warnings.simplefilter("always", UserWarning)
            return work()
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # a detector of the user may raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"error: {type(error).__name__}: {error} (in {place.filename}, line {place.lineno}; "
            "--traceback prints the whole traceback)",
            file=sys.stderr,
        )
        if show_traceback:
            traceback.print_exception(error)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"\nwarning: {message}", file=sys.stderr)  # a progress bar may be on the current line


class Interrupt:
    """Context in which the first Ctrl-C sets ``requested``; the second one raises KeyboardInterrupt as usual."""

    def __init__(self) -> None:
        self.requested = False
        self._in_main_thread = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interrupt":
        if self._in_main_thread:
            self._previous_handler = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._previous_handler)

    def _request(self, *_: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self._previous_handler)
        print_in_handler("interrupted: finishing this frame and closing the files")


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
