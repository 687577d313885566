"""Commands in processes of their own, with limits of time and memory.

The processes fork from a server that has imported everything, so that each starts in milliseconds.
"""

import multiprocessing
import os
import re
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.fuzz.preloaded"])

_STATUS = "\0exit status "
_INTERNAL = re.compile(r"Traceback \(most recent call last\)|error: [\w.]+: .*\(in .*, line \d+; --traceback")


@dataclass(frozen=True)
class Outcome:
    """End of a command.

    Args:
        status: Exit status; negative for the signal that killed it.
        text: What it printed, both streams together.
        seconds: How long it took.
    """

    status: int
    text: str
    seconds: float

    @property
    def fault(self) -> str | None:
        """What no input may cause; None for success or an error in plain words."""
        if self.status == -signal.SIGALRM:
            return "hangs"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        if _INTERNAL.search(self.text):
            return "internal error"
        if "MemoryError" in self.text or "Unable to allocate" in self.text or "DefaultCPUAllocator" in self.text:
            return "out of memory"
        if self.status not in (0, 1, 2):
            return f"exit status {self.status}"
        if self.status == 1 and "error: " not in self.text and "errors" not in self.text:
            return "fails without a reason"
        return None

    @property
    def last_line(self) -> str:
        """Last printed line."""
        lines = [line for line in self.text.replace("\r", "\n").splitlines() if line.strip()]
        return lines[-1] if lines else ""


def run(
    arguments: Sequence[object],
    folder: Path,
    seconds: int = 20,
    memory: int = 2 << 30,
    file: int = 0,
    signals: Sequence[tuple[float, int]] = (),
) -> Outcome:
    """Run ``tltm-graph`` with some arguments.

    Args:
        arguments: Arguments of the command line.
        folder: Working folder.
        seconds: Time after which it is killed.
        memory: Bytes of address space that it may take in addition to that of the server.
        file: Size in bytes to which files may grow, as on a full disk; 0 for no limit.
        signals: Signals to send, each after a number of seconds since the start.
    """
    receiver, sender = SERVER.Pipe(duplex=False)
    words = [str(one) for one in arguments]
    process = SERVER.Process(target=_child, args=(words, folder, sender, seconds, memory, file))
    begin = time.monotonic()
    process.start()
    sender.close()
    printed: list[bytes] = []
    reader = threading.Thread(target=lambda: printed.extend(iter(partial(os.read, receiver.fileno(), 1 << 16), b"")))
    reader.start()
    for delay, number in signals:
        process.join(max(0.0, begin + delay - time.monotonic()))
        if process.is_alive():
            os.kill(process.pid or 0, number)
    process.join(seconds + 30)
    if process.is_alive():
        process.kill()
        process.join()
    reader.join()
    receiver.close()
    text, _, status = b"".join(printed).decode(errors="replace").partition(_STATUS)
    # The server sometimes loses the status of a process, and says 255.
    code = int(status) if process.exitcode == 255 and status else process.exitcode
    assert code is not None
    return Outcome(code, text, time.monotonic() - begin)


def _child(words: list[str], folder: Path, output: Connection, seconds: int, memory: int, file: int) -> None:
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for number in (signal.SIGALRM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(seconds)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    os.chdir(folder)
    from tqdm import tqdm

    from tltm_graph.cli import main

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which nobody would free
    try:
        status = main(words)
    except SystemExit as error:  # argparse
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.write(1, f"{_STATUS}{status}".encode())
    os._exit(status)
