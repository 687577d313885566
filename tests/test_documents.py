import re
import shlex
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from docs.examples import run_page
from tltm_graph.cli import _parser
from tltm_graph.cli.formats import FORMATS as HELP
from tltm_graph.formats import FORMATS, read_class_map
from tltm_graph.formats.class_maps import class_map_names
from tltm_graph.io import VideoWriter, read_frames

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PRINTED = {
    "reading_the_graph": ("DiGraph with", r"frame 12, object 0 \(", "longest: ", " — new, track "),
    "transition_gnn_elsewhere": (r"cosine: 7\d%", r"TransitionGNN: (8[5-9]|9\d)%", r"pair by pair: [67]\d%"),
    "your_own_detector": ("Expected boxes that meet the image",),
    "your_own_solver": ("Expected each previous object matched or missed", " decisions differ"),
}
"""Patterns of the output that the code of each page must print."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "page", [page for page in PAGES[1:] if "```python" in page.read_text()], ids=lambda page: page.stem
)
def test_the_code_of_a_page_runs(page):
    skipped: list[str] = []
    outputs = re.findall(r"^```text\n(.*?)^```", run_page(page.read_text(), page.name, skipped.append), re.M | re.S)
    for expected in PRINTED.get(page.stem, ()):
        assert any(re.search(expected, output) for output in outputs), expected
    if skipped:
        pytest.skip("; ".join(skipped))


def test_the_code_of_the_readme_tracks_a_video(tmp_path, monkeypatch, capsys):
    with VideoWriter(tmp_path / "video.mp4") as video:
        for frame in islice(read_frames(ROOT / "docs/clips/dog_person.mp4"), 4):
            video.write(frame.image)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3"]
    assert "[1, 2" in lines[-1], "the person and the dog"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", sorted((ROOT / "docs/gallery_scripts").glob("*.py")), ids=lambda path: path.stem)
def test_the_scripts_of_the_gallery_run(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(script.read_text(), script.name, "exec"), {"__name__": "__main__"})


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    """Check links, references and formulas; the tests above run the code."""
    pytest.importorskip("sphinx_gallery")
    quick = ["-D", "run_examples=0", "-D", "plot_gallery=0"]
    command = ["sphinx", "--fail-on-warning", "--keep-going", "--quiet", *quick, str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "TransitionGNN" in (tmp_path / "api/nn.html").read_text()


COMMANDS = [
    (page, line.partition("#")[0].strip())
    for page in PAGES
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text().replace("\\\n", ""), re.M | re.S)
    for line in re.split(r"\n|&&", block)
    if line.strip().startswith("tltm-graph ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page.stem}-{i}" for i, (page, _) in enumerate(COMMANDS)])
def test_commands_of_the_pages_parse(page, line):
    """Check that each command and its options exist."""
    words = shlex.split(line)[1:]
    if "--help" not in words:
        assert _parser().parse_args(words).command == words[0]


def test_the_tables_of_the_formats_page_match_the_code():
    text = (ROOT / "docs" / "formats.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\|.*\|.*\|", text, flags=re.MULTILINE)
    assert rows == list(FORMATS)
    assert rows == list(HELP)
    mapped = dict(
        re.findall(r"^\| (\w+) \| ([^|]*) \|$", text.partition("| YouTube-VIS 2019 |")[2], flags=re.MULTILINE)
    )
    table = read_class_map("open_images_to_youtube_vis_2019")
    assert {name: target for target, names in mapped.items() for name in names.split(", ")} == table
    assert set(re.findall(r"`(\w+_to_\w+)`", text)) == set(class_map_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} points to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_in_the_pages_exist(page):
    """Check that the scripts, configurations and make targets of a page exist."""
    text = page.read_text()
    # A line break may be between the words.
    scripts = re.findall(r"python\s((?:benchmarks|experiments|docs)/\w+\.py)", text)
    for file in scripts + re.findall(r"experiments/configs/\w+\.yaml", text):
        assert (ROOT / file).exists(), file
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(r"`make ([\w-]+)", text):
        assert target in targets
