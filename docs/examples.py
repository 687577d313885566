"""Run the Python code of a page, for ``make docs`` and the tests.

The blocks of a page share their variables and run in an empty folder. A comment before a block marks exceptions:
``<!-- from FILE -->`` is a copy of lines of a file, ``<!-- needs A and B -->`` needs packages or files that may be
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
    "benchmarks/weights": ROOT / "benchmarks/weights",
}
_BLOCK = re.compile(r"(?:<!-- (?P<what>from|needs) (?P<which>.*?) -->\n)?```python\n(?P<code>.*?)```\n", re.DOTALL)


def run_page(text: str, name: str, skipped: Callable[[str], None]) -> str:
    """Run the blocks of a page and return it with the output below each block.

    Args:
        text: Page in Markdown.
        name: Name of the page in tracebacks.
        skipped: Called with the reason for each block that cannot run here.

    Raises:
        ValueError: If a block marked as a copy differs from its file.
        Exception: Any exception of the code of the page.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(match: re.Match[str]) -> str:
        code, which = match["code"], match["which"]
        if match["what"] == "from":
            if code not in (ROOT / which).read_text(encoding="utf-8"):
                raise ValueError(f"Expected lines of '{which}' in '{name}', got other lines:\n{code}")
            return match[0]
        for need in which.split(" and ") if which else ():
            if not _is_available(need):
                skipped(f"{name}: a block needs '{need}'")
                return match[0]
        line = text.count("\n", 0, match.start("code"))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile("\n" * line + code, name, "exec"), namespace)  # tracebacks show the line of the page
        return match[0] + (f"\n```text\n{printed.getvalue().rstrip()}\n```\n" if printed.getvalue() else "")

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name_in_page, path in FILES.items():
            if path.exists():
                Path(name_in_page).parent.mkdir(parents=True, exist_ok=True)
                os.symlink(path, name_in_page)
        return _BLOCK.sub(run, text)


def _is_available(need: str) -> bool:
    return Path(need).exists() if need in FILES else importlib.util.find_spec(need) is not None
