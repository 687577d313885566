import re
from pathlib import Path

import pytest

from tltm_graph.cli.formats import FORMATS as HELP
from tltm_graph.data import FORMATS, class_map_names, read_class_map

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_code_of_the_readme_runs_as_it_stands(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) >= 4
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "19 [" in printed, "twenty frames were tracked"
    assert "right: 1.0" in printed, "the GNN found every object again"


OWN_DETECTOR = (ROOT / "docs" / "your_own_detector.md").read_text()
BLOCKS = re.findall(r"(?:<!-- (\w+) (.*?) -->\n)?```python\n(.*?)```", OWN_DETECTOR, flags=re.DOTALL)
FILES = {
    "yolox_nano.onnx": ROOT.parent / "shared/data/weights/yolox_nano.onnx",
    "clip.mp4": ROOT.parent / "shared/data/clips/sam2_dog_person.mp4",
}


@pytest.mark.parametrize(("what", "where", "block"), BLOCKS, ids=range(len(BLOCKS)))
def test_the_code_of_your_own_detector(what, where, block, tmp_path, monkeypatch):
    """Each block by itself. <!-- from FILE --> stands before a copy, <!-- needs A and B --> before what needs more."""
    if what == "from":
        assert block in (ROOT / where).read_text()
        return
    monkeypatch.chdir(tmp_path)
    for need in where.split(" and ") if what == "needs" else ():
        if need not in FILES:
            pytest.importorskip(need)
            continue
        pytest.importorskip("onnxruntime")
        if not FILES[need].exists():
            pytest.skip(f"needs '{need}' in the folder 'shared' beside the project")
        (tmp_path / need).symlink_to(FILES[need])
    exec(compile(block, "your_own_detector.md", "exec"), {})


MODELS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore:The relation model has random weights")
@pytest.mark.parametrize("block", MODELS, ids=range(len(MODELS)))
def test_the_code_of_the_models_page(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "models.md", "exec"), {})


DATA = [
    (page, block)
    for page in ("formats.md", "evaluation.md", "training_data.md", "moving_shapes.md", "association_head.md")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), DATA, ids=[page for page, _ in DATA])
def test_the_code_of_the_data_pages(page, block, capsys):
    exec(compile(block, page, "exec"), {})
    assert capsys.readouterr().out


TRAINING = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("block", TRAINING, ids=range(len(TRAINING)))
def test_the_code_of_the_training_page(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "lightning" in block:
        pytest.importorskip("lightning")
    exec(compile(block, "training.md", "exec"), {})


def test_the_tables_of_the_formats_page_are_those_of_the_code():
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
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} points to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_in_the_pages_exist(page):
    """Scripts, configurations and make targets that a page tells to run are there."""
    text = page.read_text()
    scripts = re.findall(r"python\s((?:benchmarks|experiments|docs)/\w+\.py)", text)  # a line may end in between
    for file in scripts + re.findall(r"experiments/configs/\w+\.yaml", text):
        assert (ROOT / file).exists(), file
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for target in re.findall(r"`make ([\w-]+)", text):
        assert target in targets


def test_the_code_of_reading_the_graph(tmp_path, monkeypatch, capsys):
    """Its blocks build on each other."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "reading_the_graph.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, "reading_the_graph.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "DiGraph with" in printed
    assert "frame 12, object 0 (" in printed
    assert "longest: " in printed
    assert " — new, track " in printed, "who forgets begins anew"
