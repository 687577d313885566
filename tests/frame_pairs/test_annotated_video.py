import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.formats.cases import as_videos, random_tracks, write_all
from tests.frame_pairs.cases import blobs, objects, observation, video_of
from tltm_graph import Detections
from tltm_graph.formats import Video
from tltm_graph.formats.youtube_vis import YoutubeVisWriter, read_youtube_vis
from tltm_graph.frame_pairs import annotated_videos
from tltm_graph.frame_pairs.annotated_video import AnnotatedFrames, StillImage, visible_objects
from tltm_graph.structures import Tracks


def test_visible_objects_have_tight_boxes():
    truth = blobs(0, 4)
    masks = truth.masks.clone()
    masks[1] = False
    masks[2] = False
    masks[2, 7, 9] = True
    left = visible_objects(truth, masks)
    assert left.ids.tolist() == left.labels.tolist() == [0, 2, 3]
    assert left.boxes[1].tolist() == [9, 7, 10, 8]
    assert torch.equal(left.boxes[[0, 2]], truth.boxes[[0, 3]])
    assert torch.equal(left.masks, masks[[0, 2, 3]])


def test_no_visible_objects():
    for truth in (Detections.empty(), objects(torch.zeros(0, 5, 6, dtype=torch.bool))):
        assert len(visible_objects(truth, torch.zeros(0, 5, 6, dtype=torch.bool))) == 0
    assert len(visible_objects(blobs(0), torch.zeros(3, 40, 60, dtype=torch.bool))) == 0


SIZE = (20, 30)


def every_fifth(num_frames: int = 21) -> Tracks:
    """Make tracks: object 1 in frames 0, 5, …, 20; object 2 from 10 on; a crowd in 15."""
    rows = [(t, observation(1)) for t in range(0, num_frames, 5)]
    rows += [(t, observation(2)) for t in range(10, num_frames, 5)]
    return Tracks.from_observations([*rows, (15, observation(9, crowd=True))], SIZE, num_frames)


def test_frames_without_annotations_are_left_out(tmp_path):
    video = AnnotatedFrames(video_of(every_fifth(), tmp_path))
    assert len(video) == 5
    assert video.annotated == (0, 5, 10, 15, 20)
    frame, truth = video.frame(3), video.truth(3)
    assert (frame.index, frame.size) == (15, SIZE)
    assert (frame.image == 15).all()
    assert truth.ids.tolist() == truth.labels.tolist() == [1, 2], "the crowd is dropped"
    assert truth.boxes.tolist() == [[1, 2, 7, 6], [2, 2, 8, 6]], "tight around the masks"
    assert repr(video) == "AnnotatedFrames('video', 5 of 21 frames)"


def test_only_requested_pictures_are_read(tmp_path):
    plain = video_of(every_fifth(), tmp_path)
    for number in set(range(21)) - {10}:
        plain.images[number].write_bytes(b"no picture")
    video = AnnotatedFrames(plain)
    assert video.frame(2).index == 10
    assert len(video.truth(2)) == 2
    with pytest.raises(ValueError, match="Expected an image in '.*00005.png'"):
        video.frame(1)


def test_empty_frames_of_a_fully_annotated_video(tmp_path):
    tracks = Tracks.from_observations([(1, observation(1)), (2, observation(3, crowd=True))], SIZE, 4)
    plain = video_of(tracks, tmp_path)
    assert AnnotatedFrames(plain).annotated == (1,)
    video = AnnotatedFrames(plain, range(4))
    assert [len(video.truth(i)) for i in range(len(video))] == [0, 1, 0, 0]


def test_objects_without_a_pixel_are_dropped(tmp_path):
    rows = [(0, observation(1)), (0, observation(2, shown=False))]
    video = AnnotatedFrames(video_of(Tracks.from_observations(rows, SIZE, 1), tmp_path))
    assert video.truth(0).ids.tolist() == [1]


def test_tracks_are_read_once_per_video_and_each_time_per_image(tmp_path):
    tracks = Tracks.from_observations([(0, observation(1))], SIZE, 1)
    plain, reads = video_of(tracks, tmp_path), []
    counted = Video("a", 1, SIZE, images=plain.images, load=lambda: reads.append(1) or tracks)
    video = AnnotatedFrames(counted)
    for _ in range(3):
        video.truth(0)
    assert len(reads) == 1
    image = StillImage(counted)
    assert len(reads) == 1
    assert (len(image), image.frame(0).size, image.truth(0).ids.tolist()) == (1, SIZE, [1])
    assert len(reads) == 2
    assert repr(image) == "StillImage('a')"


def test_data_set_of_files(tmp_path):
    truth = [random_tracks(seed, size=SIZE) for seed in range(2)]
    write_all(YoutubeVisWriter(tmp_path / "t.json", ("cat", "dog", "bird")), as_videos(*truth))
    for number, tracks in enumerate(truth):
        video_of(tracks, tmp_path / f"video{number}", suffix=".jpg")
    videos = annotated_videos(read_youtube_vis(tmp_path / "t.json", images=tmp_path))
    videos = pickle.loads(pickle.dumps(videos))  # as in a worker process
    for video, tracks in zip(videos, truth, strict=True):
        for i, number in enumerate(video.annotated):
            assert torch.equal(video.truth(i).masks, tracks.at(number).masks)
            assert torch.equal(video.truth(i).boxes, tracks.at(number).boxes), "these boxes are tight as well"
            assert abs(int(video.frame(i).image[0, 0, 0]) - number) <= 1
    still = Tracks.from_observations([(0, observation(1))], SIZE, 1)
    assert [type(v) for v in annotated_videos([video_of(still, tmp_path / "s")])] == [StillImage]


def test_rotated_pictures(tmp_path):
    """The EXIF header rotates the picture; masks fit the upright one."""
    tracks = Tracks.from_observations([(0, observation(1))], SIZE, 1)
    image = Image.fromarray(np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    still = StillImage(Video("a", 1, images=(tmp_path / "a.jpg",), load=lambda: tracks))
    assert still.frame(0).size == SIZE == tuple(still.truth(0).masks.shape[1:])


def test_pictures_masks_and_frames_that_do_not_fit(tmp_path):
    tracks = every_fifth()
    small = AnnotatedFrames(video_of(tracks, tmp_path / "small", size=(10, 15)))
    with pytest.raises(
        ValueError,
        match=r"Expected a picture of 20×30 pixels \(H×W\) like its masks, got 10×15 in '.*00005.png', frame 5 of "
        "video 'video'",
    ):
        small.truth(1)
    plain = video_of(tracks, tmp_path / "plain")
    plain.images[10].unlink()
    with pytest.raises(FileNotFoundError, match="Expected frame 10 of video 'video' at '.*00010.png', got no file"):
        AnnotatedFrames(plain).frame(2)
    boxes = Tracks.from_observations([(0, observation(1, mask=None)), (0, observation(2))], SIZE, 1)
    with pytest.raises(ValueError, match="got a box alone for object 1 in frame 0 of video 'video'"):
        AnnotatedFrames(video_of(boxes, tmp_path / "boxes")).truth(0)
    with pytest.raises(ValueError, match="Expected a still image, got 21 frames in 'video'"):
        StillImage(plain)
    with pytest.raises(ValueError, match=r"Expected annotated frames in order of video 'video', got \[3, 1\]"):
        AnnotatedFrames(plain, [3, 1])
    with pytest.raises(ValueError, match="Expected annotated frames from 0 to 20 of video 'video', got 0 to 21"):
        AnnotatedFrames(plain, range(22))


def test_missing_pictures_and_tracks():
    with pytest.raises(FileNotFoundError, match="Expected the pictures of video 'a' to train on, got its tracks only"):
        AnnotatedFrames(Video("a", 2))
    with pytest.raises(ValueError, match="Expected 3 pictures of video 'a', as annotated, got 1"):
        AnnotatedFrames(Video("a", 3, images=(Path("a.png"),)))
    with pytest.raises(ValueError, match="Expected tracks of video 'a'"):
        AnnotatedFrames(Video("a", 1, images=(Path("a.png"),)))
