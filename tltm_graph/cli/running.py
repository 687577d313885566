import sys
import traceback
import warnings
from collections.abc import Callable


def running(work: Callable[[], int], show_traceback: bool) -> int:
    """Runs a command and reports errors in plain words; returns the exit status.

    Everything heavy is imported by ``work`` itself, after the arguments are known to be good.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            warnings.simplefilter("ignore")  # other libraries' advice to their developers
            warnings.simplefilter("always", UserWarning)
            return work()
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # a detector of the user's own may raise anything
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"error: {type(error).__name__}: {error} (in {where.filename}, line {where.lineno}; "
            "--traceback shows how it came to it)",
            file=sys.stderr,
        )
        if show_traceback:
            traceback.print_exception(error)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"\nwarning: {message}", file=sys.stderr)  # on a line of its own beside a progress bar
