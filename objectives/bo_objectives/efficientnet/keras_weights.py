"""Weights files of Keras's networks: where they are, their download, and what a file holds.

It needs no Keras, so that a file that is missing or does not fit is refused before a study is created.
"""

import hashlib
import logging
import math
import os
import shutil
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bo_objectives.efficientnet.names import LITE0, RANDOM
from bo_objectives.errors import SetupError

ADDRESS_V1 = "https://storage.googleapis.com/keras-applications/"
ADDRESS_V2 = "https://storage.googleapis.com/tensorflow/keras-applications/efficientnet_v2/"
TIMEOUT_S = 30
"""Seconds without an answer after which a download fails."""
SUFFIXES = (".h5", ".hdf5", ".keras")
IMAGENET_STD = (0.229, 0.224, 0.225)  # of pixels in [0, 1], by channel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KerasNetwork:
    """A network of `keras.applications` without its classifier.

    file: name of Keras's ImageNet weights.
    md5: digest of that file, as Keras publishes it.
    elements: number of elements in all its weights.
    address: URL of the folder of the file.
    """

    file: str
    md5: str
    elements: int
    address: str

    @property
    def url(self) -> str:
        return self.address + self.file

    @property
    def is_version_1(self) -> bool:
        return "v2" not in self.file


def _v1(name: str, md5: str, elements: int) -> KerasNetwork:
    return KerasNetwork(f"efficientnet{name}_notop.h5", md5, elements, ADDRESS_V1)


def _v2(name: str, md5: str, elements: int) -> KerasNetwork:
    return KerasNetwork(f"efficientnetv2-{name}_notop.h5", md5, elements, ADDRESS_V2)


NETWORKS: dict[str, KerasNetwork] = {
    "efficientnet_b0": _v1("b0", "50bc09e76180e00e4465e1a485ddc09d", 4_049_571),
    "efficientnet_b1": _v1("b1", "74c4e6b3e1f6a1eea24c589628592432", 6_575_239),
    "efficientnet_b2": _v1("b2", "111f8e2ac8aa800a7a99e3239f7bfb39", 7_768_569),
    "efficientnet_b3": _v1("b3", "af6d107764bb5b1abb91932881670226", 10_783_535),
    "efficientnet_b4": _v1("b4", "ebc24e6d6c33eaebbd558eafbeedf1ba", 17_673_823),
    "efficientnet_b5": _v1("b5", "38879255a25d3c92d5e44e04ae6cec6f", 28_513_527),
    "efficientnet_b6": _v1("b6", "9ecce42647a20130c1f39a5d4cb75743", 40_960_143),
    "efficientnet_b7": _v1("b7", "cbcfe4450ddf6f3ad90b1b398090fe4a", 64_097_687),
    "efficientnet_v2_b0": _v2("b0", "893217f2bb855e2983157299931e43ff", 5_919_312),
    "efficientnet_v2_b1": _v2("b1", "0e80663031ca32d657f9caa404b6ec37", 6_931_124),
    "efficientnet_v2_b2": _v2("b2", "1dfe2e7a5d45b6632553a8961ea609eb", 8_769_374),
    "efficientnet_v2_b3": _v2("b3", "f6abf7b5849ac99a89b50dd3fd532856", 12_930_622),
    "efficientnet_v2_s": _v2("s", "af0682fb74e8c54910f2d4393339c070", 20_331_360),
    "efficientnet_v2_m": _v2("m", "1b8dc055df72dde80d614482840fe342", 53_150_388),
    "efficientnet_v2_l": _v2("l", "b0b66b5c863aef5b46e8608fe1711615", 117_746_848),
}


def class_name(name: str) -> str:
    """Return Keras's name of a network's class.

    `efficientnet_b0` → EfficientNetB0, `efficientnet_v2_s` → EfficientNetV2S.
    """
    return "EfficientNet" + name.removeprefix("efficientnet_").replace("_", "").upper()


# ── ImageNet's weights


def keras_folder() -> Path:
    """Return the folder where Keras keeps the weights that it downloads."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "models"


def imagenet_file(name: str) -> Path:
    """Return Keras's ImageNet weights of a network; download them if they are missing or damaged.

    A file is complete when it has its name, so other processes can read it at any time.

    Raises:
        SetupError: they are missing, and the download fails.
    """
    network = NETWORKS[name]
    path = keras_folder() / network.file
    if path.is_file():
        if _md5(path) == network.md5:
            return path
        log.warning("%s is damaged: its MD5 is not %s; it is downloaded again", path, network.md5)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        log.info("downloading the weights of %s from %s", name, network.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(network.url, timeout=TIMEOUT_S) as response, partial.open("wb") as file:  # noqa: S310 - a fixed address
            shutil.copyfileobj(response, file)
        if (digest := _md5(partial)) != network.md5:
            raise OSError(f"what arrived has the MD5 {digest}, not {network.md5}")
        partial.replace(path)
    except (OSError, HTTPException) as error:
        raise SetupError(
            f"the ImageNet weights of {name} are not in {path}, and their download failed ({error}): download "
            f"{network.url} (MD5 {network.md5}) on another machine, and put it at {path} or set weights=PATH; "
            f"or set backbone={LITE0}, whose weights are a Python package, or weights={RANDOM} to train without them"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


# ── a local file


@dataclass(frozen=True)
class FileContents:
    """The number of elements in all weights of a file, and of Rescaling layers in its network."""

    elements: int
    rescalings: int


def check(name: str, path: Path) -> None:
    """Check that a file holds the weights of a network without its classifier.

    Raises:
        SetupError: it does not.
    """
    expected, elements = NETWORKS[name].elements, _contents(path).elements
    if elements != expected:
        raise SetupError(
            f"option weights is {str(path)!r}, whose weights have {elements:,} elements; {name} without its classifier "
            f"has {expected:,}. Give {NETWORKS[name].file}, or what `save_weights` writes of "
            f"keras.applications.{class_name(name)}(include_top=False)"
        )


def lacks_rescaling(name: str, path: Path) -> bool:
    """Return whether a network that Keras builds for a file lacks the second rescaling that its weights need.

    Keras divides the normalized pixels of version 1 by √std only where it builds the network with the weights
    "imagenet": the official files hold std in the place of the variance (tensorflow/tensorflow#49930). So it is lacking
    for those files, and for files that were saved of a network with two rescalings.
    """
    network = NETWORKS[name]
    return network.is_version_1 and (_contents(path).rescalings > 1 or _md5(path) == network.md5)


def _contents(path: Path) -> FileContents:
    """Return the contents of a file that `save_weights` or `save` of Keras 2 or 3 wrote.

    Raises:
        SetupError: it is no such file.
    """
    if path.suffix not in SUFFIXES:
        raise SetupError(f"option weights is {str(path)!r}; Keras reads files that end in {', '.join(SUFFIXES)}")
    try:
        with _opened(path) as file:
            return _of_group(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise SetupError(
            f"option weights is {str(path)!r}, which can't be read as a weights file of Keras ({error}): "
            "copy or download it again"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield the HDF5 file, which a `.keras` archive contains."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError as error:
        raise SetupError(f"Keras can't be loaded ({error}): pip install 'bo-service[tensorflow-cpu]'") from error
    if path.suffix != ".keras":
        with h5py.File(path) as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as content, h5py.File(content) as file:
        yield file


def _of_group(file: Any) -> FileContents:
    import h5py

    layers = next((file[key] for key in ("model_weights", "layers") if key in file), file)
    names = [n.decode() if isinstance(n, bytes) else n for n in layers.attrs.get("layer_names", list(layers))]
    sizes: list[int] = []
    layers.visititems(lambda _, item: sizes.append(math.prod(item.shape)) if isinstance(item, h5py.Dataset) else None)
    return FileContents(sum(sizes), sum(n.startswith("rescaling") for n in names))
