"""Runs the Python code of a page, as ``make docs`` and the tests do.

The blocks of a page build on each other and run in an empty folder. A comment before a block says what is special:
``<!-- from FILE -->`` is a copy of lines of a file, ``<!-- needs A and B -->`` takes packages or files that may be
missing.
"""

import contextlib
import importlib.util
import io
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "yolox_nano.onnx": ROOT.parent / "shared/data/weights/yolox_nano.onnx",
    "clip.mp4": ROOT.parent / "shared/data/clips/sam2_dog_person.mp4",
}
_BLOCK = re.compile(r"(?:<!-- (?P<what>from|needs) (?P<which>.*?) -->\n)?```python\n(?P<code>.*?)```\n", re.DOTALL)


def run_page(text: str, name: str, skipped: Callable[[str], None]) -> str:
    """Runs the blocks of a page; returns it with what each printed below it.

    Args:
        text: The page, Markdown.
        name: For tracebacks.
        skipped: Is told why a block cannot run here.

    Raises:
        ValueError: If a block that is a copy is none.
        Exception: What the code of a page raises.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(match: re.Match[str]) -> str:
        code, which = match["code"], match["which"]
        if match["what"] == "from":
            if code not in (ROOT / which).read_text(encoding="utf-8"):
                raise ValueError(f"Expected lines of '{which}' in '{name}', got others:\n{code}")
            return match[0]
        for need in which.split(" and ") if which else ():
            if not _there(need):
                skipped(f"{name}: a block needs '{need}'")
                return match[0]
        line = text.count("\n", 0, match.start("code"))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile("\n" * line + code, name, "exec"), namespace)  # tracebacks tell the line of the page
        return match[0] + (f"\n```text\n{printed.getvalue().rstrip()}\n```\n" if printed.getvalue() else "")

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for file, place in FILES.items():
            if place.exists():
                os.symlink(place, file)
        return _BLOCK.sub(run, text)


def _there(need: str) -> bool:
    return Path(need).exists() if need in FILES else importlib.util.find_spec(need) is not None
