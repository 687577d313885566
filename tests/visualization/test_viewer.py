import base64
import hashlib
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import torch

from tests.cases import EMPTY_FRAMES, Script, blank, drawn, names_in
from tests.explanation.saved_runs import SIZE, oracle, saved, scene
from tltm_graph import Tracker
from tltm_graph.cli import main
from tltm_graph.cli.mistakes import CAUSES
from tltm_graph.cli.saved_run import open_source
from tltm_graph.formats import TrackWriter
from tltm_graph.visualization.viewer import ViewerNotes, write_viewer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")


def content(page: Path, which: str):
    found = re.search(
        rf'<script type="application/json" id="{which}">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    return json.loads(found[1])


def pictures_in(page: Path) -> list[int]:
    """Which decisions have a picture."""
    found = re.findall(
        r'<script type="text/plain" id="picture-(\d+)">[A-Za-z0-9+/=]+</script>', page.read_text("utf-8")
    )
    return list(map(int, found))


def opened(page: Path, folder: Path, at: str = "", script: str = "") -> str:
    """The page as Chromium has it, after a script of the test has run in it."""
    copy = folder / "opened.html"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text("utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    copy.write_text(text.replace("</html>", f"<script>{script}</script></html>"), "utf-8")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser", *quiet]
    done = subprocess.run(
        [*command, "--virtual-time-budget=3000", "--dump-dom", f"{copy.as_uri()}{at}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def result_in(dom: str):
    """The value that a script of the test has left in ``document.documentElement.dataset.result``."""
    return json.loads(unescape(re.search(r'data-result="(.*?)"', dom)[1]))


@pytest.fixture
def run(tmp_path):
    frames = scene(10)
    graph, _ = saved(Tracker(oracle(frames)), frames, tmp_path / "graph.zip")
    return graph, frames


def test_everything_of_the_run_is_in_the_page(run, tmp_path):
    graph, frames = run
    page = tmp_path / "graph.html"
    write_viewer(
        page, graph, frames, SIZE, graph.class_names, notes=ViewerNotes(explanations={(3, 0): "</script><b>because"})
    )
    data = content(page, "data")
    assert [one["frame"] for one in data["frames"]] == list(range(10))
    assert pictures_in(page) == list(range(10))
    for one, decision in zip(data["frames"], graph, strict=True):
        assert [row[0] for row in one["objects"]] == decision.tracks.tolist()
        assert [row[4:8] for row in one["objects"]] == [
            [round(x) for x in box] for box in decision.current.boxes.tolist()
        ]
        chosen = {(rival[0], j) for j, row in enumerate(one["objects"]) for rival in row[11] if rival[4]}
        ids = decision.previous.ids[decision.assignment.previous].tolist()
        assert chosen == set(zip(ids, decision.assignment.current.tolist(), strict=True))
    assert data["explanations"] == {"3:0": "</script><b>because"}


def test_outlines_enclose_the_mask(run, tmp_path):
    import cv2
    import numpy as np

    from tltm_graph.ops.rle import decode_rle

    graph, _ = run
    page = tmp_path / "graph.html"
    write_viewer(page, graph, None, SIZE)
    compared = 0
    for one, decision in zip(content(page, "data")["frames"], graph, strict=True):
        for row, mask in zip(one["objects"], decode_rle(decision.masks, SIZE).numpy(), strict=True):
            if row[1]:
                filled = np.zeros(SIZE, np.uint8)
                cv2.fillPoly(filled, [np.array(shape).reshape(-1, 2) for shape in row[10]], 1)
                assert (filled & mask).sum() / (filled | mask).sum() > 0.8
                compared += 1
    assert compared > 10
    assert pictures_in(page) == []


def test_frames_without_objects_masks_or_pictures(tmp_path):
    graph, _ = saved(Tracker(Script(drawn(EMPTY_FRAMES))), map(blank, range(4)), tmp_path / "graph.zip")
    write_viewer(tmp_path / "graph.html", graph, map(blank, (0, 2, 3)), (40, 200))
    assert pictures_in(tmp_path / "graph.html") == [0, 2, 3]
    assert [len(one["objects"]) for one in content(tmp_path / "graph.html", "data")["frames"]] == [0, 1, 0, 1]


def test_errors_leave_no_page(run, tmp_path):
    graph, frames = run
    other = (replace(frame, image=torch.zeros(3, 8, 8, dtype=torch.uint8)) for frame in frames)
    with pytest.raises(ValueError, match="pixels .* pass the video that was tracked"):
        write_viewer(tmp_path / "graph.html", graph, other, SIZE)
    with pytest.raises(ValueError, match="frame 5, got one that ends before it"):
        write_viewer(tmp_path / "graph.html", graph, list(frames)[:5], SIZE)
    for width in (0, -5):
        with pytest.raises(ValueError, match=f"Expected a width of at least 1 pixel, got {width}"):
            write_viewer(tmp_path / "graph.html", graph, None, SIZE, width=width)
    for fps in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="a finite number of frames per second above 0"):
            write_viewer(tmp_path / "graph.html", graph, None, SIZE, fps=fps)
    with pytest.raises(ValueError, match="at least one decision"):
        write_viewer(tmp_path / "graph.html", [], None, SIZE)
    assert names_in(tmp_path) == ["graph.zip"]


@needs_chromium
def test_it_opens_at_an_object_without_a_network(run, tmp_path):
    graph, frames = run
    page = tmp_path / "graph.html"
    decision = next(one for one in graph if one.frame > 4 and len(one.assignment))
    row = int(decision.assignment.current[0])
    write_viewer(
        page,
        graph,
        frames,
        SIZE,
        graph.class_names,
        notes=ViewerNotes(explanations={(decision.frame, row): "just <so>"}),
    )
    asked = "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"
    result = f"""
      document.documentElement.dataset.requests = {asked};
      setTimeout(() => {{
        const {{ width, height }} = $("picture"), context = $("picture").getContext("2d");
        const seen = context.getImageData(0, 0, width, height);
        document.documentElement.dataset.colours = new Set(new Uint32Array(seen.data.buffer)).size;
      }}, 500);
    """
    dom = opened(page, tmp_path, f"#frame={decision.frame}&object={row}", result)
    assert 'data-requests="0"' in dom
    assert int(re.search(r'data-colours="(\d+)"', dom)[1]) > 200, "the picture is there"
    assert "data-ready=" in dom
    assert f"continues track {int(decision.tracks[row])}</h1>" in dom
    assert "just &lt;so&gt;" in dom
    assert f"frame {decision.frame} " in dom
    assert not re.search(r"(src|href)=\"?https?:", page.read_text("utf-8"))


NAMES = (
    "<!--<script>",
    "</script><script>document.documentElement.dataset.result = 1</script>",
    "]]>",
    "\u2028\u2029",
    "\udc80",
    "<img src=x onerror=document.documentElement.dataset.result=2>",
    '" onmouseover="document.documentElement.dataset.result=3" x="',
    "${document.title}",
    "/*DATA*/<!--PICTURES-->\n",
    "a" * 100_000,
    "",
    "&lt;b&gt;",
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_page_holds_any_name(run, tmp_path, name):
    graph, _ = run
    page = tmp_path / "graph.html"
    names, notes = (name,) * 9, ViewerNotes({(3, 0): name}, {(4, 0): ("edge", name)}, name)
    write_viewer(page, graph, None, SIZE, names, title=name, notes=notes)
    text = page.read_text("utf-8")
    data = content(page, "data")
    name = name.encode("utf-8", "replace").decode()
    shown = name if len(name) <= 200 else f"{name[:199]}…"
    assert (data["names"], data["title"], data["command"]) == ([shown] * 9, shown, name)
    assert len(re.findall("<script", text)) == len(re.findall("</script>", text)) == 2
    assert "<!--" not in text
    assert "unsafe-inline" not in text


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_browser_shows_any_name_as_text(run, tmp_path, name):
    graph, frames = run
    page = tmp_path / "graph.html"
    notes = ViewerNotes({(3, 0): f"because {name}"}, {(4, 0): ("edge", name)}, f"explain {name}")
    write_viewer(page, graph, frames, SIZE, (name,) * 9, title=name, notes=notes)
    script = """
      const text = which => document.querySelector(`#details ${which}`).textContent, result = [text("h1")];
      go(3, 0); result.push(text("h1"), text("pre"));
      go(4, 0); result.push(text(".wrong"));
      go(5, 0); result.push(text("pre"), document.querySelectorAll("img").length);
      document.documentElement.dataset.result = JSON.stringify(result);
    """
    result = result_in(opened(page, tmp_path, "", script))
    name = name.encode("utf-8", "replace").decode()
    shown = name if len(name) <= 200 else f"{name[:199]}…"
    assert result[0] == shown
    assert result[1].startswith(f"{shown} 0.") or result[1].startswith(f"{shown} 1.")
    assert result[2:] == [f"because {name}", f"wrong (edge): {name}", f"explain {name} --frame 5 --object 0", 0]


@needs_chromium
def test_keys_clicks_and_search(run, tmp_path):
    graph, frames = run
    page = tmp_path / "graph.html"
    write_viewer(page, graph, frames, SIZE, graph.class_names)
    script = """
      const result = [], note = () => result.push(location.hash);
      const key = (key, shiftKey) => { dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey })); note(); };
      for (const name of ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"]) key(name);
      key("ArrowRight", true);
      $("doubt").value = 1e9;
      for (const name of ["Home", "n", "n", "p", "Escape"]) key(name);
      $("search").value = "1"; $("search").oninput(); note();
      clear(); document.querySelector("tr[data-frame]").click(); note();
      const box = frames[at].objects[selected], rect = $("picture").getBoundingClientRect();
      clear();
      const middle = k => view.scale * (box[4 + k] + box[6 + k]) / 2;
      $("picture").onclick({ clientX: rect.left + view.x + middle(0), clientY: rect.top + view.y + middle(1) });
      result.push(selected === null ? "missed" : "hit");
      document.documentElement.dataset.result = JSON.stringify([result, mostDoubtful[0]]);
    """
    dom = opened(page, tmp_path, "", script)
    result, first = result_in(dom)
    assert result[:7] == [f"#frame={frame}" for frame in (1, 2, 1, 9, 9, 0, 9)]
    assert result[7] == "#frame=0"
    shown = [
        (one.frame, row)
        for one in graph
        for row in range(len(one.current))
        if one.current.ids[row] >= 0 and one.margins[row] < 1e9
    ]
    places = [f"#frame={frame}&object={row}" for frame, row in shown]
    assert result[8:11] == [places[0], places[1], places[0]]
    assert re.fullmatch(r"#frame=\d+", result[11])
    assert result[12].startswith("#frame=")
    assert "&object=" in result[12]
    assert result[13] == f"#frame={first[1]}&object={first[2]}"
    assert result[14] == "hit"


@needs_chromium
def test_a_missing_frame_or_object_is_reported(run, tmp_path):
    graph, frames = run
    page = tmp_path / "graph.html"
    write_viewer(page, graph, frames, SIZE, graph.class_names)
    script = """
      const result = [], message = () => document.querySelector(".wrong")?.textContent ?? null;
      const note = () => result.push([message(), location.hash]);
      note();
      const asked = ["abc", "", "3&object=99", "3&object=x", "3&object=0", "99"].map(it => "frame=" + it).concat("");
      addEventListener("hashchange", () => { note(); next(); });
      function next() {
        if (asked.length) location.hash = asked.shift();
        else document.documentElement.dataset.result = JSON.stringify(result);
      }
      next();
    """
    result = result_in(opened(page, tmp_path, "#frame=999", script))
    frames_are, last = "Expected one of the 10 frames from 0 to 9, got frame=", len(graph[3].current) - 1
    objects_are = f"Expected an object from 0 to {last} in frame 3, got object="
    assert result == [
        [f"{frames_are}999", "#frame=0"],
        [f"{frames_are}abc", "#frame=0"],
        [frames_are, "#frame=0"],
        [f"{objects_are}99", "#frame=3"],
        [f"{objects_are}x", "#frame=3"],
        [None, "#frame=3&object=0"],
        [f"{frames_are}99", "#frame=3&object=0"],
        [None, result[-1][1]],
    ]


@needs_chromium
def test_labels_keep_apart_and_can_be_hidden(run, tmp_path):
    graph, frames = run
    page = tmp_path / "graph.html"
    write_viewer(page, graph, frames, SIZE, graph.class_names)
    script = """
      const pixels = () => { paint(); return $("picture").toDataURL(); };
      const key = key => dispatchEvent(new KeyboardEvent("keydown", { key }));
      let shown = 0, over = 0;
      for (at = 0; at < frames.length; at++) {
        const objects = frames[at].objects.map((o, j) => [o, j]);
        const placed = labels($("picture").getContext("2d"), objects, 0.2).map(([box]) => box);
        shown += placed.length;
        placed.forEach((a, i) => placed.slice(i + 1).forEach(b => { over += shared(a, b) > 0; }));
      }
      go(5);
      const before = pixels(); key("l");
      const hidden = pixels(); key("l");
      document.documentElement.dataset.result = JSON.stringify([shown, over, before !== hidden, before === pixels()]);
    """
    result = result_in(opened(page, tmp_path, "", script))
    assert result == [sum(len(one.current) for one in graph), 0, True, True]


@needs_chromium
def test_it_can_be_used_with_the_keyboard_alone(run, tmp_path):
    graph, frames = run
    page = tmp_path / "graph.html"
    write_viewer(page, graph, frames, SIZE, graph.class_names)
    script = """
      const result = [], note = () => result.push(location.hash);
      const key = (to, key, ctrlKey) =>
        to.dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true, cancelable: true }));
      const reached = [...document.querySelectorAll("button, input, [tabindex]")];
      const order = reached.map(one => one.id || one.dataset.frame && "row");
      for (const name of ["Enter", " "]) {
        clear();
        const row = document.querySelectorAll("tr[data-frame]")[1];
        row.focus(); key(document.activeElement, name); note();
        result.push([document.activeElement.id, playing]);
      }
      key($("next"), " "); key(document.body, "n", true); note();
      clear(); go(5);
      for (const name of ["ArrowDown", "ArrowDown", "ArrowUp"]) { key($("tracks"), name); note(); }
      document.documentElement.dataset.result = JSON.stringify([order, mostDoubtful[1], result]);
    """
    order, (_, frame, row), result = result_in(opened(page, tmp_path, "", script))
    assert order[:8] == ["play", "slider", "search", "doubt", "previous", "next", "tracks", "details"]
    assert set(order[8:]) == {"row"}
    place = f"#frame={frame}&object={row}"
    assert result[:5] == [place, ["details", None], place, ["details", None], place]
    shown = [track for track in graph[5].tracks.tolist() if track >= 0]
    first, second = (f"#frame=5&object={graph[5].tracks.tolist().index(track)}" for track in sorted(shown)[:2])
    assert result[5:] == [first, second, first]


@needs_chromium
def test_wrong_decisions_are_marked_and_listed(run, tmp_path):
    graph, frames = run
    shown = {track for one in graph for track in one.tracks[one.current.ids >= 0].tolist()}
    places = [(one.frame, row, track) for one in graph for row, track in enumerate(one.tracks.tolist())]
    lone = next((frame, row) for frame, row, track in places if frame > 1 and track not in shown)
    wrong = {(9, 0): ("solver", "track 1, not <new>"), (1, 0): ("edge", "new"), lone: ("detector", "no track")}
    page = tmp_path / "graph.html"
    red = """
      const red = canvas => {
        const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return data.some((_, k) => k % 4 === 0 && data[k] > 200 && data[k + 1] < 50 && data[k + 2] < 50);
      };
      clear(); go(1);
      const result = [$("details").textContent, lines.length, [red($("tracks")), red($("picture"))]];
    """
    script = """
      const gone = [], note = () => gone.push(location.hash);
      const key = (key, shiftKey) => { dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey })); note(); };
      go(0);
      for (const [name, shift] of [["w"], ["w"], ["w"], ["w"], ["W", true], ["W", true]]) key(name, shift);
      const box = $("tracks").getBoundingClientRect();
      const clientX = box.left + lanes.left + at * lanes.x, clientY = box.bottom - 20 - lanes.y / 2;
      clear(); $("tracks").onclick({ clientX, clientY }); note();
      clear(); document.querySelectorAll("tr[data-frame]")[2].click(); note();
      result.push(Object.keys(MARKS), gone, document.querySelector("#details .wrong").textContent);
    """
    done = "document.documentElement.dataset.result = JSON.stringify(result);"
    write_viewer(page, graph, frames, SIZE, graph.class_names, notes=ViewerNotes(mistakes=wrong))
    text, lines, marked, marks, gone, said = result_in(opened(page, tmp_path, "", red + script + done))
    assert re.search(r"wrong decisions: 3.*edge 1.*solver 1.*memory 0.*detector 1.*track 1, not <new>", text)
    assert (lines, marked) == (len(shown) + 1, [True, True])
    assert set(marks) == set(CAUSES)
    one, two, three = (f"#frame={frame}&object={row}" for frame, row in sorted(wrong))
    assert gone == [one, two, three, one, three, two, two, three]
    assert said == "wrong (solver): track 1, not <new>"
    write_viewer(page, graph, frames, SIZE, graph.class_names)
    text, lines, marked = result_in(opened(page, tmp_path, "", red + done))
    assert "wrong" not in text
    assert (lines, marked) == (len(shown), [False, False])


@needs_chromium
def test_it_shows_how_to_explain_other_objects(run, tmp_path):
    graph, _ = run
    page = tmp_path / "graph.html"
    result = "document.documentElement.dataset.result = JSON.stringify($('details').textContent.replace(/\\s+/g, ' '))"
    write_viewer(page, graph, None, SIZE, notes=ViewerNotes(command="tltm-graph explain 'my <runs>/a'"))
    dom = opened(page, tmp_path, "#frame=3&object=0", result)
    assert result_in(dom).endswith("tltm-graph explain 'my <runs>/a' --frame 3 --object 0")
    write_viewer(page, graph, None, SIZE)
    assert "in Python, explain(graph, 3, row=0) explains it" in opened(page, tmp_path, "#frame=3&object=0")


def test_the_command_is_that_of_the_run(tmp_path):
    out = str(tmp_path / "it's a run")
    options = ["--max-frames", "3", "--save-graph", "--no-overlay"]
    assert main(["track", "--source", "shapes", "--output", out, *options]) == 0
    assert main(["view", out, "--explained", "0", "--no-pictures"]) == 0
    command = content(tmp_path / "it's a run" / "graph.html", "data")["command"]
    assert shlex.split(command) == ["tltm-graph", "explain", out]
    assert main([*shlex.split(command)[1:], "--frame", "2", "--object", "0"]) == 0


@pytest.mark.slow
def test_a_run_is_viewed(tmp_path, capsys):
    out = str(tmp_path)
    options = ["--max-frames", "6", "--save-graph", "--no-overlay"]
    assert main(["track", "--source", "shapes", "--output", out, *options]) == 0
    assert main(["view", out, "--explained", "2", "--width", "160"]) == 0
    assert "6 frames" in capsys.readouterr().out
    data = content(tmp_path / "graph.html", "data")
    assert len(data["explanations"]) == 2
    assert all(text.startswith("frame ") for text in data["explanations"].values())
    assert pictures_in(tmp_path / "graph.html") == list(range(6))
    assert main(["view", out, "--no-pictures", "--explained", "0", "--output", f"{out}/small.html"]) == 0
    assert (tmp_path / "small.html").stat().st_size < (tmp_path / "graph.html").stat().st_size


@pytest.mark.slow
def test_the_mistakes_of_a_run_are_in_the_page(tmp_path, capsys):
    out, page, wrong = str(tmp_path), tmp_path / "graph.html", tmp_path / "wrong.json"
    options = ["--max-frames", "8", "--save-graph", "--no-overlay"]
    assert main(["track", "--source", "shapes", "--output", out, *options]) == 0
    assert main(["mistakes", out, "--output", str(wrong)]) == 0
    small = ["view", out, "--explained", "0", "--no-pictures"]
    assert main(small) == 0
    assert content(page, "data")["mistakes"] is None
    capsys.readouterr()
    assert main([*small, "--mistakes"]) == 0
    expected = json.loads(wrong.read_text())["mistakes"]
    assert f"{len(expected)} wrong decisions" in capsys.readouterr().out
    result = content(page, "data")["mistakes"]
    assert {place: cause for place, (cause, _) in result.items()} == {
        f"{one['frame']}:{one['row']}": one["cause"] for one in expected
    }
    scene = open_source("shapes")
    with TrackWriter(tmp_path / "truth.json") as writer:
        for index in range(8):
            writer.write(index, scene.truth(index))
    assert main([*small, "--truth", str(tmp_path / "truth.json")]) == 0
    assert content(page, "data")["mistakes"] == result
