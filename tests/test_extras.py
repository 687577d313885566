import re
import tomllib
from pathlib import Path

from tltm_graph.extras import missing_extra

ROOT = Path(__file__).parents[1]


def test_the_message_names_a_command_for_either_way_of_installation():
    text = str(missing_extra("supervision", "to draw a video"))
    assert "'supervision' to draw a video" in text
    assert "pip install 'tltm-graph[viz]'" in text
    assert "pip install '.[viz]'" in text


def test_every_extra_of_a_message_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    calls = [
        match
        for path in (ROOT / "tltm_graph").rglob("*.py")
        for match in re.findall(r"missing_extra\(\s*\"[^\"]+\",[^)]*?\"(\w+)\"\s*\)", path.read_text())
    ]
    assert calls
    assert set(calls) <= set(extras)
