import json

import pytest

from tests.formats.cases import as_videos, random_tracks
from tltm_graph.formats import COCO, YOUTUBE_VIS_2019, map_classes, read_class_map
from tltm_graph.formats.bdd100k import BDD100K_CLASSES
from tltm_graph.formats.class_maps import class_map_names
from tltm_graph.formats.mot import MOT_CLASSES
from tltm_graph.formats.mots import MOTS_CLASSES


def test_coco_to_youtube_vis():
    table = read_class_map("coco_to_youtube_vis_2019")
    assert len(table) == 19
    assert set(table) <= set(COCO)
    assert set(table.values()) <= set(YOUTUBE_VIS_2019)
    assert len(set(table.values())) == 19
    assert "mouse" not in table, "COCO's is a computer's"
    assert (table["car"], table["motorcycle"], table["tennis racket"]) == ("sedan", "motorbike", "tennis_racket")


def test_open_images_to_youtube_vis():
    table = read_class_map("open_images_to_youtube_vis_2019")
    assert len(table) == 60
    assert set(YOUTUBE_VIS_2019) - set(table.values()) == {"ape"}
    assert set(table.values()) <= set(YOUTUBE_VIS_2019)
    assert (table["Human hand"], table["Panda"], table["Harbor seal"]) == ("hand", "giant_panda", "earless_seal")
    assert "Computer mouse" not in table


def test_every_map_leads_to_its_classes():
    targets = {
        "coco_to_bdd100k": BDD100K_CLASSES,
        "coco_to_mot": MOT_CLASSES,
        "coco_to_mots": MOTS_CLASSES,
        "coco_to_youtube_vis_2019": YOUTUBE_VIS_2019,
        "open_images_to_youtube_vis_2019": YOUTUBE_VIS_2019,
    }
    assert class_map_names() == list(targets)
    for name, classes in targets.items():
        assert set(read_class_map(name).values()) <= set(classes)
        assert name.startswith("open") or set(read_class_map(name)) <= set(COCO)


def test_mapping_relabels_and_leaves_out_unmapped_classes():
    videos = as_videos(random_tracks(3), class_names=("car", "mouse", "person"))
    mapped = map_classes(videos, read_class_map("coco_to_youtube_vis_2019"), YOUTUBE_VIS_2019)
    before, after = videos[0].tracks(), mapped[0].tracks()
    assert {1} & {track.label for track in before.values()}
    assert {i: track.label for i, track in after.items()} == {
        i: {0: 5, 2: 0}[track.label] for i, track in before.items() if track.label != 1
    }
    assert all(after[i].masks == before[i].masks for i in after)
    assert mapped.class_names == YOUTUBE_VIS_2019


def test_custom_map(tmp_path):
    (tmp_path / "map.json").write_text(json.dumps({"classes": {"cat": "pet", "dog": "pet"}}))
    table = read_class_map(tmp_path / "map.json")
    mapped = map_classes(as_videos(random_tracks(3)), table, ("pet",))
    assert {track.label for track in mapped[0].tracks().values()} == {0}


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="Expected a class map of"):
        read_class_map("imagenet")
    (tmp_path / "map.json").write_text("[]")
    with pytest.raises(ValueError, match="in the class map"):
        read_class_map(tmp_path / "map.json")
    with pytest.raises(ValueError, match=r"got the classes \['pet'\]"):
        map_classes(as_videos(random_tracks(3)), {"cat": "pet"}, ("animal",))
    with pytest.raises(ValueError, match="objects without classes"):
        map_classes(as_videos(random_tracks(3), class_names=None), {}, ())
