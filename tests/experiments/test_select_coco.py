import json

import pytest

from experiments.select_coco import main

CONTENT = {
    "categories": [{"id": 1, "name": "cat"}],
    "images": [
        {"id": 1, "split": "train", "license": 4},
        {"id": 2, "split": "train", "license": 1},
        {"id": 3, "split": "val", "license": 4},
        {"id": 4},
    ],
    "annotations": [{"id": 10 * i, "image_id": i} for i in (1, 2, 3, 3, 4)],
}


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ([], [1, 2, 3, 4]),
        (["--split", "train"], [1, 2]),
        (["--split", "train", "val", "--licenses", "4"], [1, 3]),
        (["--licenses", "1", "4"], [1, 2, 3]),
    ],
)
def test_images_of_splits_and_licences(tmp_path, monkeypatch, options, images):
    (tmp_path / "all.json").write_text(json.dumps(CONTENT))
    monkeypatch.setattr("sys.argv", ["select_coco.py", f"{tmp_path}/all.json", f"{tmp_path}/new/some.json", *options])
    assert main() == 0
    written = json.loads((tmp_path / "new/some.json").read_text())
    assert [image["id"] for image in written["images"]] == images
    assert [row for row in CONTENT["annotations"] if row["image_id"] in images] == written["annotations"]
    assert written["categories"] == CONTENT["categories"]


def test_nothing_is_left(tmp_path, monkeypatch):
    (tmp_path / "all.json").write_text(json.dumps(CONTENT))
    monkeypatch.setattr("sys.argv", ["select_coco.py", f"{tmp_path}/all.json", f"{tmp_path}/x.json", "--split", "test"])
    with pytest.raises(SystemExit, match="found none"):
        main()
    assert not (tmp_path / "x.json").exists()
