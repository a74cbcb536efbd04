"""What a trial leaves behind: its logs, its exported model, and how it ends where the images are at fault."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from bo_client import FailureReason
from bo_objectives.base import ARTIFACTS, TrialFailed
from bo_objectives.efficientnet.weight_files import LITE0_SHA256
from bo_objectives.errors import SetupError
from PIL import Image

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet.export import CARD, CONFUSION, METRICS, MODEL  # noqa: E402

pytestmark = [
    pytest.mark.xdist_group("efficientnet"),
    pytest.mark.keras,
    # Keras itself, where it writes and reads model files on TensorFlow
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

CHOICE = {"lr_head": 1e-2, "norm": "layer"}


# ── logs


def test_a_csv_has_a_row_for_each_epoch(make_small, run) -> None:
    make_small(logs="csv", artifacts="off").evaluate(CHOICE, run)
    assert not (run.directory / ARTIFACTS).exists()
    with (run.directory / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["val_loss"]) for row in rows] == [point["val_loss"] for _, point, _ in run.reports]
    assert all(float(row["gradient_norm"]) > 0 for row in rows)


def test_tensorboard_reads_the_scalars_and_the_hyperparameters(make_small, run) -> None:
    """By its own reader; without TensorFlow, as the package's stub has it."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    metrics = make_small(logs="tensorboard").evaluate(CHOICE, run)
    events = accumulator.EventAccumulator(str(run.directory / "tensorboard"))
    events.Reload()
    assert [e.value for e in events.Scalars("epoch/val_loss")] == pytest.approx(
        [p["val_loss"] for _, p, _ in run.reports]
    )
    assert [e.step for e in events.Scalars("epoch/val_loss")] == [1, 2]
    assert events.Scalars("final/val_loss")[0].value == pytest.approx(metrics["val_loss"])
    assert "gradient/head_conv/kernel" in events.Tags()["scalars"]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    from tensorboard.plugins.hparams import plugin_data_pb2

    told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["norm"].string_value == "layer"
    assert told["lr_head"].number_value == 0.01


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_mlflow_has_the_run(make_small, run, tmp_path: Path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    metrics = make_small(logs="mlflow").evaluate(CHOICE, run)
    (found,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert found.data.params["norm"] == "layer"
    assert found.data.metrics["final_val_loss"] == pytest.approx(metrics["val_loss"])


def test_a_log_that_is_not_installed_is_refused_before_the_study(make_objective, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        SetupError, match=r"logs names mlflow, which isn't installed: pip install 'bo-service\[mlflow\]'"
    ):
        make_objective(logs="csv,mlflow", weights="random").define()
    with pytest.raises(SetupError, match="logs is 'paper'"):
        make_objective(logs="paper")


# ── the exported model


class Alone:
    """A run that nobody follows."""

    number, attempt, checkpoint_uri = 1, 1, ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def report(self, *_) -> None: ...

    def label(self, _) -> None: ...


@pytest.fixture(scope="module")
def exported(make_objective, tmp_path_factory):
    """The folder, the metrics and the objective."""
    folder = tmp_path_factory.mktemp("exported")
    objective = make_objective()
    parameters = {**CHOICE, "mode": "fine_tune", "unfreeze_top": 1}
    return folder / "best", objective.export(parameters, Alone(folder / "trial"), folder / "best"), objective


def test_the_exported_model_takes_pixels_and_is_as_good_as_it_says(exported) -> None:
    folder, metrics, objective = exported
    model = keras.models.load_model(folder / MODEL)
    with objective.context() as bench:
        test = bench.split.test
    predicted = np.asarray(model.predict(test.pixels, verbose=0)).argmax(-1)
    assert float((predicted == test.labels).mean()) == pytest.approx(metrics["test_accuracy"])
    content = json.loads((folder / METRICS).read_text())
    assert content["metrics"] == metrics
    assert content["weights"]["sha256"] == LITE0_SHA256
    with (folder / CONFUSION).open() as file:
        head, *rows = list(csv.reader(file))
    counts = np.array([[int(v) for v in row[1:]] for row in rows])
    assert head[1:] == [row[0] for row in rows] == ["blue", "green", "red"]
    assert counts.sum() == len(test)
    assert counts.trace() / counts.sum() == pytest.approx(metrics["test_accuracy"])
    assert list(counts.sum(1)) == list(np.bincount(test.labels))


def test_the_card_says_what_a_stranger_must_know(exported) -> None:
    folder, metrics, _ = exported
    card = (folder / CARD).read_text()
    for told in (LITE0_SHA256, "27 images for training", '`"blue", "green", "red"`', "## Limits", "(B, 32, 32, 3)",
                 f"| test_accuracy | {metrics['test_accuracy']:.6g} |", "| unfreeze_top | 1 |", "seed 0"):  # fmt: skip
        assert told in card
    assert (folder / "confusion_matrix.png").read_bytes()[:4] == b"\x89PNG"


def test_a_folder_that_cannot_be_written_is_told(make_small, run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrialFailed, match=r"files can't be written to .*give another --directory"):
        make_small().export(CHOICE, run, tmp_path / "file" / "best")


# ── images at fault


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shade, label in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (32, 32), (200 * shade, 10 * i, 0)).save(tmp_path / "pictures" / label / f"{i}.png")
    return tmp_path / "pictures"


def crashed(objective, run) -> str:
    with pytest.raises(TrialFailed) as caught:
        objective.evaluate(CHOICE, run)
    assert caught.value.reason is FailureReason.CRASHED
    return caught.value.message


def test_a_corrupt_picture_fails_the_trial_by_name_until_it_is_repaired(make_small, make_run, folder: Path) -> None:
    """The machine's fault, not the parameters': the surrogate doesn't hear of it, and the worker goes on."""
    whole = (folder / "dog" / "3.png").read_bytes()
    (folder / "dog" / "3.png").write_bytes(whole[:30])
    objective = make_small(data=str(folder))
    told = crashed(objective, make_run())
    assert f"{folder / 'dog' / '3.png'} can't be read as an image" in told
    assert "repair or remove it" in told
    (folder / "dog" / "3.png").write_bytes(whole)
    assert objective.evaluate(CHOICE, make_run())["val_loss"] > 0


def test_a_corrupt_picture_may_be_left_out_and_is_recorded(make_small, run, folder: Path) -> None:
    (folder / "dog" / "3.png").write_bytes(b"no picture")
    make_small(data=str(folder), corrupt="skip", pipeline="disk").evaluate(CHOICE, run)
    record = json.loads((run.directory / "trial.json").read_text())
    assert record["skipped_images"] == [str(folder / "dog" / "3.png")]
    assert sum(record["images"].values()) == 15


def test_a_class_with_one_picture_is_refused_before_the_study_and_in_a_trial(make_small, run, folder: Path) -> None:
    objective = make_small(data=str(folder))
    for i in range(7):
        (folder / "dog" / f"{i}.png").unlink()
    with pytest.raises(SetupError) as refused:
        objective.define()
    for told in (str(refused.value), crashed(objective, run)):
        assert "too few images in dog (1): a class needs at least 5" in told
        assert "add images or remove the class" in told


@pytest.mark.slow
def test_a_trial_trains_on_mapped_files_as_on_memory(make_objective, make_run, folder: Path) -> None:
    runs = {}
    for pipeline in ("memory", "disk"):
        runs[pipeline] = make_run()
        options = {"data": str(folder), "pipeline": pipeline, "threads": "3", "cache": "off"}
        make_objective(**options).evaluate(CHOICE, runs[pipeline])
    for ours, theirs in zip(runs["memory"].reports, runs["disk"].reports, strict=True):
        assert ours[1] == pytest.approx(theirs[1], rel=1e-4)
