"""Write the annotations of some images of a COCO file: those of some splits and licences.

python experiments/select_coco.py instances.json train.json --split train2017 --licenses 4 5 7
"""

import argparse
import json
import sys
from pathlib import Path

from tltm_graph.io.output import write_atomically


def main() -> int:
    """Read the command line, select and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, help="COCO file whose images name their split and license")
    parser.add_argument("output", type=Path)
    parser.add_argument("--split", nargs="*", help="values of 'split', as train2017; by default all")
    parser.add_argument("--licenses", type=int, nargs="*", help="values of 'license', as 4 5 7; by default all")
    arguments = parser.parse_args()
    content = json.loads(arguments.annotations.read_text(encoding="utf-8"))
    images = [
        image
        for image in content["images"]
        if (arguments.split is None or image.get("split") in arguments.split)
        and (arguments.licenses is None or image.get("license") in arguments.licenses)
    ]
    if not images:
        known = sorted({str(image.get("split")) for image in content["images"]})
        sys.exit(
            f"error: Expected images of these splits and licences in '{arguments.annotations}', found none; its splits "
            f"are {', '.join(known)}: leave out --split if its images name none"
        )
    chosen = {image["id"] for image in images}
    objects = [row for row in content["annotations"] if row["image_id"] in chosen]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(arguments.output) as path:
        path.write_text(json.dumps(content | {"images": images, "annotations": objects}), encoding="utf-8")
    print(f"wrote {arguments.output}: {len(images)} images, {len(objects)} objects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
