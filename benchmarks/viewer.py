"""HTML page of a long video: size, time to the first paint, and frames per second while scrubbing, in Chromium.

20 objects with masks, 2,000 frames, pictures 640 pixels wide. The browser is headless; scrubbing shows another frame in
every animation frame, forwards and then at random.

Run: python benchmarks/viewer.py [--frames 2000] [--objects 20]
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from benchmarks.timing import machine
from tltm_graph import Detections, Frame, GraphWriter, SavedGraph, Tracker
from tltm_graph.association import GeometricAffinity
from tltm_graph.detectors import Detector
from tltm_graph.synthetic import HARD, TEST, moving_shapes
from tltm_graph.visualization import write_viewer

SIZE = 360, 640
FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SCRUB = """
const waited = [], worked = []; let last = null, count = 0;
function step(now) {
  if (last !== null) waited.push(now - last);
  last = now;
  if (++count > 400) {
    const sorted = worked.sort((a, b) => a - b), mean = waited.reduce((a, b) => a + b) / waited.length;
    const { ready, pictured } = document.documentElement.dataset;
    document.title = JSON.stringify([Number(ready), Number(pictured), 1000 / mean, sorted[200], sorted[380]]);
    return;
  }
  const began = performance.now();
  go(count < 200 ? count * 3 : Math.floor(Math.random() * frames.length));
  worked.push(performance.now() - began);
  requestAnimationFrame(step);
}
setTimeout(() => requestAnimationFrame(step), 500);
"""


class Many(Detector):
    """Objects of several rendered scenes, one scene in front of the other."""

    class_names = moving_shapes(HARD, TEST)[0].class_names

    def __init__(self, count: int, num_frames: int) -> None:
        self.scenes = [moving_shapes(HARD, TEST, num_frames, SIZE)[number] for number in range(1 + count // 6)]
        self.count = count

    def detect(self, frame: Frame, context: object = None) -> tuple[Detections, None]:
        objects = Detections.cat([scene.truth(frame.index).replace(ids=None) for scene in self.scenes])
        return objects[: self.count], None


def report(num_frames: int, num_objects: int, browser: str | None, folder: Path) -> None:
    many = Many(num_objects, num_frames)
    tracker = Tracker(many, affinity=GeometricAffinity())
    state = tracker.start()
    with GraphWriter(folder / "graph.zip", tracker) as writer:
        for frame in many.scenes[0]:
            state, _ = tracker.step(state, frame)
            writer.write(state)
    graph, page = SavedGraph(folder / "graph.zip"), folder / "graph.html"
    objects = sum(len(decision.current) for decision in graph)
    print(f"*{machine()}; {num_frames:,} frames, {objects:,} objects*\n\n| | |\n|---|--:|")
    print(f"| graph.zip, kB per 1,000 decisions | {(folder / 'graph.zip').stat().st_size / objects:.0f} |")
    for name, pictures in (("without pictures", None), ("with pictures", many.scenes[0])):
        began = time.perf_counter()
        write_viewer(page, graph, pictures, SIZE, many.class_names)
        took, size = time.perf_counter() - began, page.stat().st_size
        print(f"| graph.html {name}, MB | {size / 1e6:.1f} |")
        print(f"| the same, kB per 1,000 decisions | {size / objects:.0f} |")
        print(f"| written in, s | {took:.0f} |")
    page.write_text(page.read_text("utf-8").replace("</html>", f"<script>{SCRUB}</script></html>"), "utf-8")
    if browser is None:
        print("| first paint, scrubbing | not measured: apt install chromium |")
        return
    ready, pictured, rate, usual, slow = scrubbed(page, browser, folder)
    print(f"| first paint, ms | {ready:.0f} |")
    print(f"| first picture, ms | {pictured:.0f} |")
    print(f"| frames per second while scrubbing | {rate:.0f} |")
    print(f"| work per frame, ms: median, 95 % | {usual:.1f}, {slow:.1f} |")


def scrubbed(page: Path, browser: str, folder: Path) -> list[float]:
    """Read the title of the page: ms to the first paint and picture, frames per second, median and 95 % ms of work."""
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        *FLAGS,
        f"--user-data-dir={folder}/browser",
        "--window-size=1400,900",
    ]
    process = subprocess.Popen(
        [*command, "--remote-debugging-port=0", page.as_uri()], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        address = next(line for line in process.stderr if "DevTools listening" in line).split("ws://")[1].split("/")[0]
        for _ in range(600):
            with urlopen(f"http://{address}/json/list") as answer:
                titles = [page["title"] for page in json.load(answer) if page["type"] == "page"]
            if titles and titles[0].startswith("["):
                return json.loads(titles[0])
            time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
    raise RuntimeError("Expected the page to scrub to its end within two minutes, got no result: try fewer --frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--objects", type=int, default=20)
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        report(options.frames, options.objects, browser, Path(folder))


if __name__ == "__main__":
    main()
