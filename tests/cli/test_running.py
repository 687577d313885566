import json
import os
import signal
import warnings

import pytest

from tltm_graph.cli.running import Interrupt, run_reporting_errors, write_json


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


def test_the_first_interrupt_is_a_request_and_the_second_raises():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"é": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
