"""Create the bundled image set from an unpacked npm package `emoji-datasource-google`.

    python -m bo_objectives.efficientnet.make_emoji PATH_TO_PACKAGE OUT.zip

Each picture is one emoji, so a split by picture is a split by emoji: skin tones and joined sequences (the man, woman
and couple variants of one emoji) are left out. The same package gives the same pictures.
"""

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from bo_objectives.efficientnet.rgb import on_white

CLASSES = {
    "Activities": "activities",
    "Animals & Nature": "animals",
    "Food & Drink": "food",
    "Objects": "objects",
    "People & Body": "people",
    "Smileys & Emotion": "smileys",
    "Travel & Places": "places",
}
MAX_PER_CLASS = 140
JOINER = "200D"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip file: archives are equal byte by byte


def chosen(emoji: list[dict[str, Any]], category: str) -> list[dict[str, Any]]:
    """Return up to MAX_PER_CLASS emoji of a category, ordered by a hash of their names."""
    candidates = [e for e in emoji if e["category"] == category and e["has_img_google"] and JOINER not in e["unified"]]
    return sorted(candidates, key=lambda e: hashlib.sha256(e["short_name"].encode()).digest())[:MAX_PER_CLASS]


def pictures(package: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (class/name.png, PNG bytes), sorted by name, without duplicates."""
    emoji = json.loads((package / "emoji.json").read_text("utf-8"))
    seen: set[bytes] = set()
    entries = [(f"{label}/{e['short_name']}.png", e["image"]) for c, label in CLASSES.items() for e in chosen(emoji, c)]
    for name, file in sorted(entries):
        picture = on_white(Image.open(package / "img" / "google" / "64" / file))
        if (pixels := picture.tobytes()) in seen:
            continue
        seen.add(pixels)
        encoded = io.BytesIO()
        picture.save(encoded, "PNG", optimize=True)
        yield name, encoded.getvalue()


def make(package: Path, out: Path) -> int:
    """Write the archive, and return the number of its images."""
    count = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, png in pictures(package):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), png)
            count += 1
    return count


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m bo_objectives.efficientnet.make_emoji PATH_TO_PACKAGE OUT.zip")
    count = make(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"{count} pictures in {sys.argv[2]}\n")


if __name__ == "__main__":
    main()
