"""Mutated files, for a minute. ``make fuzz`` goes on for longer."""

import os
import shutil

import pytest

from tests.fuzz.campaign import Report, arguments, attack, campaign, contents
from tests.fuzz.isolation import Outcome, run
from tests.fuzz.seeds import Case, build

pytestmark = pytest.mark.slow

SECONDS = 25  # of each of two parts, which two processes run at the same time
PARTS = 2


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    return folder, build(folder)


def test_unchanged_files_are_accepted(valid, tmp_path):
    folder, cases = valid
    every = [(case, command) for case in cases for command in case.commands]
    for number, (case, command) in enumerate(every):
        work = tmp_path / str(number)
        work.mkdir()
        source = folder / case.source
        shutil.copytree(source, work / source.name) if source.is_dir() else shutil.copy(source, work)
        outcome = run(arguments(command, source.name, folder), work)
        assert (outcome.status, outcome.fault) == (0, None), f"{case.name}: {command}\n{outcome.text}"


@pytest.mark.parametrize("part", range(PARTS))
def test_changed_files_are_read_or_refused_in_plain_words(valid, part):
    folder, cases = valid
    report = campaign(cases, folder, SECONDS, first_seed=part * 1_000_000)
    assert report.inputs >= len(cases)
    assert not report.faults, str(report)


# The campaign finds what it looks for


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Outcome(0, "", 1), None),
        (Outcome(1, "error: Expected a number", 1), None),
        (Outcome(2, "usage: …", 1), None),
        (Outcome(-14, "", 20), "hangs"),
        (Outcome(-11, "", 1), "killed by SIGSEGV"),
        (
            Outcome(1, "error: KeyError: 'name' (in a.py, line 3; --traceback prints the whole traceback)", 1),
            "internal error",
        ),
        (Outcome(1, "Traceback (most recent call last):\n", 1), "internal error"),
        (Outcome(1, "error: Unable to allocate 3 GiB", 1), "out of memory"),
        (Outcome(1, "", 1), "fails without a reason"),
        (Outcome(137, "", 1), "exit status 137"),
    ],
)
def test_faults(outcome, fault):
    assert outcome.fault == fault


def test_a_child_is_ended_in_time(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    os.mkfifo(folder / "pipe.json")
    outcome = run(["render", "--frames", "100000", "--output", "out"], folder, seconds=2)
    assert outcome.fault == "hangs"
    assert run(["--version"], folder).status == 0


def test_an_input_that_a_command_changes_is_found(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("frame\n0\n")
    report = Report()

    def change(words, folder):
        (folder / "a.csv").write_text("")
        (folder / ".b.host-1.partial").touch()
        return Outcome(1, "error: Expected …", 1)

    monkeypatch.setattr("tests.fuzz.campaign.run", change)
    attack(Case("a", "a.csv", ("validate X",)), tmp_path, 0, report)
    assert report.faults[0].startswith("changes its input: a 0 (changed a.csv; validate a.csv)")
    assert contents(tmp_path) == {"a.csv": b"frame\n0\n"}
