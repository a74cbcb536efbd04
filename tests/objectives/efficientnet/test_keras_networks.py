"""The networks of keras.applications: from a file, from ImageNet's weights and from random ones, and fine-tuned."""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import keras_weights
from bo_objectives.efficientnet.keras_weights import IMAGENET_STD, NETWORKS, KerasNetwork
from bo_objectives.efficientnet.names import BACKBONES, LITE0
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_objectives.efficientnet.weight_files import file_sha256
from bo_objectives.errors import SetupError

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import backbone, training  # noqa: E402
from bo_objectives.efficientnet.weights import WeightsOrigin, arrays_sha256  # noqa: E402
from keras.src.applications import efficientnet, efficientnet_v2  # noqa: E402

pytestmark = [
    pytest.mark.xdist_group("keras"),
    pytest.mark.keras,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, writing an .h5
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

SIDE = 32
B0, V2_B0 = "efficientnet_b0", "efficientnet_v2_b0"
FINE_TUNED = {"mode": "fine_tune", "unfreeze_top": 3, "norm": "none", "dropout": 0.0}
Make = Callable[..., EfficientNetObjective]


@dataclass
class Saved:
    """A network of Keras, the file that its `save_weights` wrote, and what it gives for `pixels`."""

    name: str
    path: Path
    weights: str
    stem: np.ndarray
    features: np.ndarray


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)


def built(name: str, weights: str | None = None):
    """By Keras alone."""
    network = getattr(keras.applications, keras_weights.class_name(name))
    return network(include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3))


def change(network) -> None:
    """Make every weight another one than Keras begins with, so that none can be left out unnoticed."""
    rng = np.random.default_rng(1)
    for weight in network.weights:
        value = weight.numpy()
        if len(value.shape) > 1:
            weight.assign(value * rng.uniform(0.9, 1.1, value.shape))
        elif value.shape:
            weight.assign(value + rng.uniform(0.01, 0.05, value.shape))


def saved(name: str, folder: Path) -> Saved:
    network = built(name)
    assert network.count_params() == NETWORKS[name].elements
    change(network)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()
    path = folder / f"{name}.weights.h5"
    network.save_weights(path)
    features = np.asarray(network(pixels(), training=False))
    return Saved(name, path, arrays_sha256(network.get_weights()), stem(network, pixels()), features)


@pytest.fixture(scope="module")
def b0(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return saved(B0, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def v2_b0(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return saved(V2_B0, tmp_path_factory.mktemp("weights"))


def stem(network, prepared: np.ndarray) -> np.ndarray:
    """What the first convolution gives, which shows how pixels are prepared; later features hardly depend on them."""
    return np.asarray(keras.Model(network.input, network.get_layer("stem_conv").output)(prepared, training=False))


def prepared_stem(loaded: backbone.Backbone) -> np.ndarray:
    return stem(loaded.network, pixels() if loaded.prepare is None else loaded.prepare(pixels()))


def logits(features: np.ndarray) -> np.ndarray:
    """By a linear classifier of five classes."""
    width = features.shape[-1]
    return features.mean((1, 2)) @ np.random.default_rng(2).normal(0, width**-0.5, (width, 5))


def check_equal(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Check the logits, and every feature; random weights can make all of them small."""
    for f, e in ((found, expected), (logits(found), logits(expected))):
        assert np.isfinite(e).all()
        assert np.abs(e).max() > 0
        assert f == pytest.approx(e, abs=tolerance * float(np.abs(e).max()))


# ── from a file of Keras's own


def check_file(network: Saved, make_objective: Make) -> None:
    """Every weight is loaded, and pixels are prepared as in the network that was saved."""
    objective = make_objective(backbone=network.name, weights=str(network.path))
    objective.define()
    with objective.context() as bench:
        loaded = bench.backbone
        assert arrays_sha256(loaded.network.get_weights()) == network.weights
        check_equal(prepared_stem(loaded), network.stem, 1e-6)
        check_equal(np.asarray(loaded.bottom(0)(pixels())), network.features, 1e-5)
        assert loaded.origin == WeightsOrigin(network.path.name, file_sha256(network.path))
        check_fine_tuning(bench, loaded)


def check_fine_tuning(bench, loaded: backbone.Backbone) -> None:
    """Stochastic depth is on in training, and batch norms compute as in inference and stay as they are."""
    config = TrialConfig.of(FINE_TUNED)
    below = np.asarray(loaded.bottom(3)(pixels()))
    network = bench.network(config, below.shape[1:])
    drawn = [np.asarray(network(below, training=True)) for _ in range(8)]
    assert any(not np.allclose(drawn[0], other, rtol=1e-6, atol=0) for other in drawn[1:])
    fixed = [np.asarray(network(below, training=False)) for _ in range(2)]
    assert np.array_equal(*fixed)

    top = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    block = loaded.blocks[-3]
    normalized, dropped = (
        keras.Model(top.input, top.get_layer(f"{block}_{last}").output) for last in ("project_bn", "drop")
    )
    many = np.tile(below, (100, 1, 1, 1))
    inference = np.asarray(normalized(many, training=False))
    assert np.array_equal(np.asarray(normalized(many, training=True)), inference)
    rate = top.get_layer(f"{block}_drop").rate
    found = np.asarray(dropped(many, training=True))
    is_dropped = ~found.any((1, 2, 3))
    assert 0.1 < rate < 0.3
    assert is_dropped.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / len(many)))
    assert found[~is_dropped] == pytest.approx(inference[~is_dropped] / (1 - rate), rel=1e-4, abs=1e-30)

    norms = [x for x in top.layers if isinstance(x, keras.layers.BatchNormalization)]
    before = [v.numpy() for x in norms for v in x.weights]
    kernel = top.get_layer("top_conv").kernel
    first = kernel.numpy()
    training.compiled(network, bench.stages(config, network)[0].begin(), 0.0)
    network.train_on_batch(below, np.eye(3, dtype=np.float32)[[0, 1, 2, 0]])
    assert all(np.array_equal(b, v.numpy()) for b, v in zip(before, [v for x in norms for v in x.weights], strict=True))
    assert len(before) >= 4 * 7
    assert not np.array_equal(first, kernel.numpy())


def test_b0_from_a_file_computes_what_the_saved_network_did(b0: Saved, make_objective: Make) -> None:
    check_file(b0, make_objective)


@pytest.mark.slow
def test_v2_b0_from_a_file_computes_what_the_saved_network_did(v2_b0: Saved, make_objective: Make) -> None:
    check_file(v2_b0, make_objective)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in (B0, V2_B0)])
def test_every_other_network_from_a_file_computes_what_the_saved_network_did(
    name: str, tmp_path: Path, make_objective: Make
) -> None:
    check_file(saved(name, tmp_path), make_objective)


@pytest.mark.parametrize("file", [pytest.param(file, marks=pytest.mark.slow) for file in ("b0.keras", "b0.h5")])
def test_a_whole_model_in_one_file_is_read_too(b0: Saved, tmp_path: Path, file: str) -> None:
    network = built(B0)
    network.load_weights(b0.path)
    network.save(tmp_path / file)
    loaded = backbone.load(B0, str(tmp_path / file), SIDE)
    check_equal(prepared_stem(loaded), b0.stem, 1e-6)
    check_equal(np.asarray(loaded.bottom(0)(pixels())), b0.features, 1e-5)


# ── from ImageNet's weights, which a server of the test gives


@dataclass
class Server:
    """Serves the file of one network; Keras's folder is empty at first."""

    network: KerasNetwork
    stem: np.ndarray
    expected: np.ndarray
    """What Keras's own network with the weights "imagenet" gives."""
    kept: Path
    stop: Callable[[], None]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    try:
        yield f"http://127.0.0.1:{server.server_port}/", stop
    finally:
        stop()


@contextmanager
def imagenet(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """As in the official files, version 1's Normalization holds the deviation in the place of the variance."""
    network = built(name)
    change(network)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([np.array(backbone.IMAGENET_MEAN), np.array(IMAGENET_STD), np.array(0)])
            layer.finalize_state()
    served = folder / "served"
    served.mkdir()
    path = served / NETWORKS[name].file
    network.save(path)
    module = efficientnet if NETWORKS[name].is_version_1 else efficientnet_v2
    with monkeypatch.context() as patch:
        patch.setattr(module.file_utils, "get_file", lambda *_, **__: str(path))
        keras_own = built(name, "imagenet")
    first, expected = stem(keras_own, pixels()), np.asarray(keras_own(pixels(), training=False))
    monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
    with serving(served) as (address, stop):
        entry = replace(NETWORKS[name], md5=md5(path.read_bytes(), usedforsecurity=False).hexdigest(), address=address)
        monkeypatch.setitem(NETWORKS, name, entry)
        yield Server(entry, first, expected, folder / "keras" / "models" / entry.file, stop)


@pytest.mark.parametrize("name", [B0, pytest.param(V2_B0, marks=pytest.mark.slow)])
def test_imagenets_weights_are_downloaded_before_the_study_and_fed_as_keras_feeds_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_objective: Make
) -> None:
    with imagenet(name, tmp_path, monkeypatch) as server:
        make_objective(backbone=name).define()
        assert [p.name for p in server.kept.parent.iterdir()] == [server.network.file]
        server.stop()
        make_objective(backbone=name).define()  # from the folder
        loaded = backbone.load(name, "imagenet", SIDE)
        check_equal(prepared_stem(loaded), server.stem, 1e-5)
        check_equal(np.asarray(loaded.bottom(0)(pixels())), server.expected, 1e-4)
        assert loaded.origin == WeightsOrigin(server.network.file, file_sha256(server.kept))

        elsewhere = server.kept.rename(tmp_path / "renamed.h5")
        by_path = backbone.load(name, str(elsewhere), SIDE)
        check_equal(prepared_stem(by_path), server.stem, 1e-5)
        bare = stem(by_path.network, pixels())
        assert (np.abs(bare - server.stem).max() > 0.1 * np.abs(server.stem).max()) == (name == B0)


@pytest.mark.parametrize(
    "file", [pytest.param(file, marks=pytest.mark.slow) for file in ("a.weights.h5", "b.h5", "c.keras")]
)
def test_weights_that_were_saved_of_keras_imagenet_network_are_fed_as_that_network(
    b0: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """It has a second Rescaling, which Keras does not build for a path."""
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(b0.path))
    network = built(B0, "imagenet")
    expected, first = np.asarray(network(pixels(), training=False)), stem(network, pixels())
    assert np.abs(first - b0.stem).max() > 0.1 * np.abs(first).max()
    save = network.save_weights if file.endswith(".weights.h5") else network.save
    save(tmp_path / file)
    loaded = backbone.load(B0, str(tmp_path / file), SIDE)
    check_equal(prepared_stem(loaded), first, 1e-5)
    check_equal(np.asarray(loaded.bottom(0)(pixels())), expected, 1e-4)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server answers; Keras's folder, which does not exist yet."""
    with serving(tmp_path) as (address, _):
        pass
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name, network in NETWORKS.items():
        monkeypatch.setitem(NETWORKS, name, replace(network, address=address))
    return tmp_path / "keras" / "models"


@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_network_imagenets_weights_are_refused_before_the_study(
    name: str, offline: Path, make_objective: Make
) -> None:
    network = NETWORKS[name]
    with pytest.raises(SetupError) as refused:
        make_objective(backbone=name).define()
    said = str(refused.value)
    assert f"the ImageNet weights of {name} are not in {offline / network.file}" in said
    assert f"download {network.url} (MD5 {network.md5}) on another machine" in said
    assert f"put it at {offline / network.file} or set weights=PATH" in said
    assert "set backbone=efficientnet_lite0" in said
    assert "weights=random" in said
    assert list(offline.iterdir()) == []
    assert make_objective(backbone=name, weights="random").define().defaults


def test_a_damaged_file_in_kerass_folder_is_not_used(offline: Path, make_objective: Make) -> None:
    offline.mkdir(parents=True)
    path = offline / NETWORKS[B0].file
    path.write_bytes(b"cut short")
    with pytest.raises(SetupError, match=r"the ImageNet weights of efficientnet_b0 .* download failed"):
        make_objective(backbone=B0).define()
    assert path.read_bytes() == b"cut short"


def test_a_download_that_is_damaged_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_objective: Make
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NETWORKS[B0].file).write_bytes(b"a page that asks for a password")
    with serving(tmp_path / "served") as (address, _):
        monkeypatch.setitem(NETWORKS, B0, replace(NETWORKS[B0], address=address))
        with pytest.raises(SetupError, match=r"what arrived has the MD5 [0-9a-f]{32}, not 50bc09e7"):
            make_objective(backbone=B0).define()
    assert list((tmp_path / "keras" / "models").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(
    offline: Path, monkeypatch: pytest.MonkeyPatch, make_objective: Make
) -> None:
    file = offline.parent.parent / "a_file"
    file.write_text("")
    monkeypatch.setenv("KERAS_HOME", str(file))
    with pytest.raises(SetupError, match=r"a_file/models/efficientnetb0_notop\.h5, and their download failed \("):
        make_objective(backbone=B0).define()


# ── files that do not fit, refused before the study


def test_a_file_of_another_network_is_refused(b0: Saved, make_objective: Make) -> None:
    words = (
        r"weights is '.*efficientnet_b0\.weights\.h5', whose weights have 4,049,571 elements; efficientnet_b1 without "
        r"its classifier has 6,575,239\. Give efficientnetb1_notop\.h5, or what `save_weights` writes of "
        r"keras\.applications\.EfficientNetB1\(include_top=False\)"
    )
    with pytest.raises(SetupError, match=words):
        make_objective(backbone="efficientnet_b1", weights=str(b0.path)).define()


def test_a_file_with_the_classifier_is_refused(tmp_path: Path, make_objective: Make) -> None:
    keras.applications.EfficientNetB0(weights=None, input_shape=(SIDE, SIDE, 3)).save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(SetupError, match=r"have 5,330,571 elements; efficientnet_b0 without its classifier has 4,049"):
        make_objective(backbone=B0, weights=str(tmp_path / "a.weights.h5")).define()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("a.h5", r"a\.h5', which can't be read as a weights file of Keras \(.*: copy or download it again"),
        ("a.weights.h5", r"a\.weights\.h5', which can't be read as a weights file"),
        ("a.keras", r"a\.keras', which can't be read as a weights file"),
        ("a.pth", r"a\.pth'; Keras reads files that end in \.h5, \.hdf5, \.keras"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_a_file_that_keras_cannot_read_is_refused(
    file: str, words: str, content: bytes, tmp_path: Path, make_objective: Make
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(SetupError, match=words):
        make_objective(backbone=B0, weights=str(tmp_path / file)).define()


def test_a_file_that_is_cut_short_is_refused(b0: Saved, tmp_path: Path, make_objective: Make) -> None:
    (tmp_path / "a.weights.h5").write_bytes(b0.path.read_bytes()[:-100_000])
    with pytest.raises(SetupError, match=r"can't be read as a weights file of Keras"):
        make_objective(backbone=B0, weights=str(tmp_path / "a.weights.h5")).define()


# ── the table of networks


@pytest.mark.parametrize("name", NETWORKS)
def test_file_names_and_digests_are_those_of_keras(name: str) -> None:
    make = getattr(keras.applications, keras_weights.class_name(name))
    kind = name.rpartition("_")[2]
    version_1 = NETWORKS[name].is_version_1
    module = efficientnet if version_1 else efficientnet_v2
    key = kind if version_1 or kind[0] == "b" else f"-{kind}"
    assert NETWORKS[name].md5 == module.WEIGHTS_HASHES[key][1]
    assert NETWORKS[name].file == inspect.signature(make).parameters["name"].default + "_notop.h5"
    assert NETWORKS[name].address == module.BASE_WEIGHTS_PATH


def test_every_backbone_but_lite0_is_a_network_of_keras() -> None:
    assert set(NETWORKS) == set(BACKBONES) - {LITE0}
    assert len(NETWORKS) == 15


# ── from random weights


@pytest.mark.parametrize("name", [B0, pytest.param(V2_B0, marks=pytest.mark.slow)])
def test_random_weights_are_new_and_normalize_pixels_by_imagenets_statistics(name: str) -> None:
    loaded = backbone.load(name, "random", SIDE)
    assert loaded.origin.source == "random"
    assert loaded.origin.sha256 != backbone.load(name, "random", SIDE).origin.sha256
    normalization = next(x for x in loaded.network.layers if isinstance(x, keras.layers.Normalization))
    prepared = keras.Model(loaded.network.input, normalization.output)(pixels())
    expected = (pixels() / 255 - backbone.IMAGENET_MEAN) / IMAGENET_STD
    assert np.asarray(prepared) == pytest.approx(expected, abs=1e-4)
