import json
import os
import signal
import threading
import warnings

import pytest

from tests.cases import names_in
from tltm_graph.cli import running
from tltm_graph.cli.running import Interrupt, Interrupted, interrupted_status, run_reporting_errors, write_json


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize("error", [ValueError("a bad number"), OSError("no such file"), ImportError("no such package")])
def test_an_expected_error_is_one_line(error, capsys):
    assert run_reporting_errors(raising(error), show_traceback=True) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize("show", [False, True])
def test_an_unexpected_error_names_its_type_and_place(show, capsys):
    assert run_reporting_errors(raising(RuntimeError("broken")), show) == 1
    printed = capsys.readouterr().err
    assert "RuntimeError: broken" in printed
    assert "test_running.py" in printed
    assert ("Traceback" in printed) == show


def test_ctrl_c_is_status_130_and_success_is_that_of_the_work(capsys):
    assert run_reporting_errors(raising(KeyboardInterrupt()), show_traceback=False) == 130
    assert "interrupted" in capsys.readouterr().err
    assert run_reporting_errors(lambda: 3, show_traceback=False) == 3


def test_only_warnings_for_the_user_are_printed(capsys):
    def work() -> int:
        warnings.warn("for a developer", DeprecationWarning, stacklevel=1)
        warnings.warn("for the user", UserWarning, stacklevel=1)
        return 0

    assert run_reporting_errors(work, show_traceback=False) == 0
    assert capsys.readouterr().err.strip() == "warning: for the user"


SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_status_128_and_its_number(number, capsys):
    def work() -> int:
        os.kill(os.getpid(), number)
        raise AssertionError("not to be reached")

    before = signal.getsignal(number)
    assert run_reporting_errors(work, show_traceback=True) == 128 + number
    assert capsys.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(number) is before


def test_an_error_that_follows_a_signal_is_not_reported(capsys):
    """An import that is interrupted may fail in any way."""

    def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("half of a module") from None
        return 0

    assert run_reporting_errors(work, show_traceback=True) == 143
    assert capsys.readouterr().err == "error: interrupted\n"


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGTERM)
            assert not interrupt.requested
        assert run_reporting_errors(lambda: signal.raise_signal(signal.SIGTERM) or 0, show_traceback=False) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_interrupt_is_a_request_and_the_second_raises(number, monkeypatch):
    monkeypatch.setattr(running, "_REPEATED", 0.0)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as error, Interrupt() as interrupt:
        interrupt.raise_if_requested()
        assert (interrupt.requested, interrupt.number, interrupt.name) == (False, None, None)
        os.kill(os.getpid(), number)
        assert (interrupt.requested, interrupt.number, interrupt.name) == (True, number, signal.Signals(number).name)
        os.kill(os.getpid(), number)
    assert error.value.number == number
    assert signal.getsignal(number) is before
    assert interrupted_status(interrupt.name) == 128 + number


def test_further_interrupts_within_two_seconds_are_one(monkeypatch, capfd):
    now = [100.0]
    monkeypatch.setattr(running.time, "monotonic", lambda: now[0])
    with pytest.raises(Interrupted, match="SIGTERM") as error, Interrupt() as interrupt:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        now[0] += 1.9
        signal.raise_signal(signal.SIGINT)
        assert interrupt.name == "SIGTERM"
        with pytest.raises(Interrupted, match="SIGTERM"):
            interrupt.raise_if_requested()
        now[0] += 0.2
        signal.raise_signal(signal.SIGTERM)
    assert error.value.number == signal.SIGTERM
    assert capfd.readouterr().err.count("interrupted: finishing") == 1


def test_no_signals_in_another_thread():
    """Python allows no handlers there."""
    found = []

    def work() -> None:
        with Interrupt() as interrupt:
            found.append(run_reporting_errors(lambda: int(interrupt.requested), show_traceback=False))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0]


def test_the_status_without_a_signal():
    assert interrupted_status(None) == 0


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"é": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert names_in(tmp_path) == ["a.json"]
