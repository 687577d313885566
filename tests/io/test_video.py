import math
import os
import shutil
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tests.cases import names_in
from tests.parity import seeded
from tltm_graph import MovingShapes, read_frames
from tltm_graph.io import VideoWriter
from tltm_graph.io.video import natural_order
from tltm_graph.limits import Limits, limits


def gradient(t: int, size=(48, 64)) -> np.ndarray:
    """Smooth enough to survive compression; brighter with time."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([x * 3, y * 4, np.full(size, 10 * t)], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        for t in range(20):
            writer.write(torch.from_numpy(gradient(t).transpose(2, 0, 1)))
    return path


def check(frames, expected: int, tolerance: float, fps: float) -> None:
    frames = list(frames)
    assert [frame.index for frame in frames] == list(range(expected))
    for t, frame in enumerate(frames):
        assert frame.size == (48, 64)
        assert frame.time == pytest.approx(t / fps, abs=0.011)  # GIF has a resolution of 0.01 s
        difference = frame.image.numpy().transpose(1, 2, 0).astype(int) - gradient(t)
        assert abs(difference).mean() <= tolerance


def test_mp4(clip):
    reader = read_frames(clip)
    assert reader.fps == 25
    assert reader.num_frames == 20
    check(reader, 20, 4, 25)
    with av.open(str(clip)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    ("suffix", "codec", "tolerance"), [("mov", "mpeg4", 4), ("avi", "mpeg4", 4), ("gif", "gif", 25)]
)
def test_other_containers(tmp_path, suffix, codec, tolerance):
    path = tmp_path / f"clip.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8" if codec == "gif" else "yuv420p"
        stream.bit_rate = 4_000_000
        for t in range(10):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(gradient(t), format="rgb24").reformat(format=stream.pix_fmt))
            )
        container.mux(stream.encode())
    check(read_frames(str(path)), 10, tolerance, 25)


def save_images(folder: Path, names: list[str]) -> None:
    for t, name in enumerate(names):
        Image.fromarray(gradient(t)).save(folder / name)


def test_a_folder_in_the_order_of_its_numbers(tmp_path):
    save_images(tmp_path, [f"frame{t}.png" for t in range(12)])
    (tmp_path / "notes.txt").write_text("not an image")
    check(read_frames(tmp_path), 12, 0, 30)
    check(read_frames(str(tmp_path / "frame?.png"), fps=10), 10, 0, 10)
    check(read_frames(tmp_path / "frame0.png"), 1, 0, 30)


def test_arrays_and_iterables():
    pictures = np.stack([gradient(t) for t in range(3)])
    check(read_frames(pictures), 3, 0, 30)
    check(read_frames(torch.from_numpy(pictures)), 3, 0, 30)
    check(read_frames(gradient(t) for t in range(3)), 3, 0, 30)
    assert list(read_frames(pictures[:0])) == []


def test_it_is_lazy():
    def endless():
        t = 0
        while True:
            yield gradient(t)
            t += 1

    reader = read_frames(endless())
    assert next(reader).index == 0
    assert next(reader).index == 1


def test_other_kinds_of_pictures(tmp_path):
    Image.fromarray(gradient(0)).convert("L").save(tmp_path / "grey.png")
    assert next(read_frames(tmp_path / "grey.png")).image.unique(dim=0).shape[0] == 1
    Image.fromarray(gradient(0)).convert("RGBA").save(tmp_path / "alpha.png")
    assert next(read_frames(tmp_path / "alpha.png")).size == (48, 64)
    Image.fromarray((np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4)).save(tmp_path / "deep.png")
    deep = next(read_frames(tmp_path / "deep.png")).image[0].flatten()
    assert deep.tolist() == [16 * k for k in range(16)], "16 bits are scaled, not cut off"
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="Expected 8 or 16 bits per pixel"):
        next(read_frames(tmp_path / "float.tif"))


def test_turned_pictures_are_turned_back(tmp_path):
    picture = Image.fromarray(gradient(0))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    assert next(read_frames(tmp_path / "turned.png")).size == (64, 48)


@pytest.mark.filterwarnings("ignore:.*breaks off")
def test_a_truncated_video_gives_the_frames_before_the_damage(clip, tmp_path):
    scene = MovingShapes(40, (120, 160), seed=1)
    whole = tmp_path / "whole.mp4"
    with VideoWriter(whole) as writer:
        for frame in scene:
            writer.write(frame.image)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.warns(UserWarning, match=r"breaks off after \d+ of 40 frames"):
        frames = list(read_frames(broken))
    assert 5 < len(frames) < 40
    for ours, original in zip(frames, read_frames(whole), strict=False):
        assert torch.equal(ours.image, original.image)


def test_a_whole_video_gives_no_warning(clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(read_frames(clip))) == 20


def test_an_address(clip):
    handler = partial(SimpleHTTPRequestHandler, directory=str(clip.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        reader = read_frames(f"http://127.0.0.1:{server.server_port}/{clip.name}")
        assert reader.num_frames is None, "a stream may go on"
        check(reader, 20, 4, 25)
        server.shutdown()


def test_bad_sources(clip, tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing at"):
        read_frames(tmp_path / "missing.mp4")
    with pytest.raises(ValueError, match="Expected images .* got none"):
        read_frames(tmp_path)
    with pytest.raises(FileNotFoundError, match="Expected files that match"):
        read_frames(str(tmp_path / "*.jpg"))
    with pytest.raises(FileNotFoundError, match="Expected a camera number 97"):
        read_frames("97")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(ValueError, match="got a damaged or unknown file"):
        read_frames(tmp_path / "noise.mp4")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="Expected an image in"):
        next(read_frames(tmp_path / "bad.png"))
    with pytest.raises(ValueError, match=r"Expected frames \(T, H, W, 3\)"):
        read_frames(np.zeros((2, 3, 4, 4), dtype=np.uint8))
    shutil.copy(clip, tmp_path / "head.mp4")
    (tmp_path / "head.mp4").write_bytes(clip.read_bytes()[:40])
    with pytest.raises(ValueError, match="without a picture track"):
        read_frames(tmp_path / "head.mp4")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("local.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\nclip.mp4\n#EXT-X-ENDLIST\n"),
        ("remote.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
        ("words.mp4", "plain text"),
    ],
)
def test_a_local_file_opens_no_other_file_or_address(clip, tmp_path, name, text):
    shutil.copy(clip, tmp_path / "clip.mp4")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="Expected a readable video at"):
        list(read_frames(tmp_path / name))


def test_the_name_of_a_file_is_no_address(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "concat:clip.mp4")
    assert len(list(read_frames("concat:clip.mp4"))) > 0


def test_images_start_no_program_and_wait_for_no_pipe(tmp_path):
    (tmp_path / "0.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with pytest.raises(ValueError, match="cannot identify image file"):
        list(read_frames(tmp_path / "0.png"))
    (tmp_path / "0.png").unlink()
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises(ValueError, match="got a pipe, a socket or a device"):
        list(read_frames(tmp_path))


def test_frames_of_changing_size(tmp_path):
    Image.fromarray(gradient(0)).save(tmp_path / "0.png")
    Image.fromarray(gradient(0, (32, 64))).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"all frames of 48×64 pixels .* got 32×64 in '.*1.png': resize"):
        list(read_frames(tmp_path))


def test_odd_sizes_are_padded_and_failures_leave_nothing(tmp_path):
    picture = (seeded("odd", (3, 31, 45)).abs() * 100).clamp(0, 255).to(torch.uint8)
    with VideoWriter(tmp_path / "odd.mp4") as writer:
        writer.write(picture)
    assert next(read_frames(tmp_path / "odd.mp4")).size == (32, 46)
    with pytest.raises(ValueError, match="like the first"), VideoWriter(tmp_path / "resized.mp4") as writer:
        writer.write(picture)
        writer.write(picture[:, :20])
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "failed.mp4") as writer:
        writer.write(picture)
        raise RuntimeError
    with VideoWriter(tmp_path / "empty.mp4"):
        pass
    assert names_in(tmp_path) == ["odd.mp4"]


def test_natural_order_sorts_numbers_by_value():
    names = ["frame10.png", "frame2.png", "a/frame1.png", "12", "3", "", "x²1"]
    assert sorted(names, key=natural_order) == ["", "3", "12", "a/frame1.png", "frame2.png", "frame10.png", "x²1"]


def test_a_source_may_reuse_its_buffer():
    def pictures():
        buffer = np.zeros((4, 6, 3), dtype=np.uint8)
        for value in (1, 2):
            buffer[:] = value
            yield buffer

    assert [int(frame.image.max()) for frame in list(read_frames(pictures()))] == [1, 2]


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"), [("mp4", "libx264", "yuv420p"), ("gif", "gif", "rgb8"), ("avi", "mjpeg", "yuvj420p")]
)
def test_frames_beyond_the_limit(tmp_path, suffix, codec, pixels):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture.reformat(format=pixels)))
        container.mux(stream.encode())
    assert len(list(read_frames(path))) == 1
    with limits(Limits(max_pixels=48 * 64)):
        assert len(list(read_frames(path))) == 1
    with limits(Limits(max_pixels=48 * 64 - 1)), pytest.raises(ValueError, match=r"at most 3071 pixels .*--max-pixels"):
        list(read_frames(path))
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "a.png")
    with limits(Limits(max_pixels=100)), pytest.raises(ValueError, match=r"at most 100 pixels .*--max-pixels"):
        list(read_frames(tmp_path / "a.png"))


@pytest.mark.parametrize("encoder", ["h264", "vp9", "mpeg4"])
def test_encoders(tmp_path, encoder):
    scene = list(MovingShapes(6, (48, 65), num_objects=2))
    with VideoWriter(tmp_path / "a.mp4", 12.5, encoder) as video:
        for frame in scene:
            video.write(frame.image)
    read = read_frames(tmp_path / "a.mp4")
    assert read.fps == 12.5
    for frame, expected in zip(read, scene, strict=True):
        difference = frame.image[:, :, :65].float() - expected.image.float()
        assert difference.abs().mean() < 6
    with (
        pytest.raises(ValueError, match=f"Expected frames that the encoder '{encoder}' takes, got 16×70000 pixels"),
        VideoWriter(tmp_path / "b.mp4", 25, encoder) as video,
    ):
        video.write(torch.zeros(3, 16, 70000, dtype=torch.uint8))
    assert not (tmp_path / "b.mp4").exists()


def test_settings_of_a_video_that_are_not_valid(tmp_path):
    for fps in (math.nan, math.inf, 0, -25, 1001):
        with pytest.raises(ValueError, match="Expected above 0 and at most 1000 frames per second, got"):
            VideoWriter(tmp_path / "a.mp4", fps)
    with pytest.raises(ValueError, match=r"Expected an encoder of \['h264', 'vp9', 'mpeg4'\], got 'gif'"):
        VideoWriter(tmp_path / "a.mp4", 25, "gif")
