import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tltm_graph.cli import evaluate as cli_evaluate
from tltm_graph.cli import formats as cli_formats
from tltm_graph.cli import main
from tltm_graph.formats import FORMATS
from tltm_graph.metrics.evaluation import FAMILIES, RULES
from tltm_graph.metrics.oracle import ORACLES

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_help_is_quick_and_importing_is_light():
    code = (
        "import sys, tltm_graph, tltm_graph.cli; print([m for m in ('torch', 'av', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    shown = subprocess.run(
        [sys.executable, "experiments/run_vis.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert shown.returncode == 0
    for option in ("--source", "--detector", "--solver", "--output", "--max-frames", "--device", "--seed"):
        assert option in shown.stdout
    heavy = "('lightning', 'supervision', 'matplotlib')"
    heavy = f"import sys, tltm_graph.tracking; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["eval", "convert", "validate"])
def test_help_names_every_format(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    listed = {
        line.split()[0]: line.split()[1] for line in shown.split("w: written):\n")[1].split("\n\n")[0].splitlines()
    }
    assert listed == {
        name: ("r" if known.read is not None else "") + ("w" if known.write is not None else "")
        for name, known in FORMATS.items()
    }
    assert list(listed) == list(FORMATS) == list(cli_formats.FORMATS)


def test_names_on_the_command_line_are_those_of_the_metrics():
    assert get_args(cli_evaluate.Metric) == FAMILIES
    assert get_args(cli_evaluate.Rules) == tuple(RULES)
    assert get_args(cli_evaluate.OracleName) == tuple(ORACLES)


@pytest.mark.parametrize("command", [[], ["eval"], ["convert"], ["validate"], ["render"]])
def test_help_imports_nothing_heavy(command):
    code = f"""
import sys
from tltm_graph.cli import main
try:
    main({[*command, "--help"]})
except SystemExit as stop:
    heavy = [name for name in ("torch", "numpy", "PIL", "pycocotools", "scipy", "tqdm") if name in sys.modules]
    sys.exit(f"imported {{heavy}}" if heavy else stop.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "tltm-graph" in done.stdout
