"""A head and a compilation of the user's own: what is refused before a study, and what becomes of the rest."""

import json
import re
import textwrap
from pathlib import Path

import bo_client
import numpy as np
import pytest
from bo_client import ObjectiveSpec, SearchSpace
from bo_client.testing import InProcessServer
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.space import METRICS
from bo_objectives.efficientnet.user_code_check import message_of
from bo_objectives.errors import SetupError
from bo_worker.evaluation import EvaluationTask
from bo_worker.objective_comparison import objective_spec, require_same
from bo_worker.study_request import StudyRequest
from bo_worker.worker import WorkerSettings, run

keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.keras,
    pytest.mark.xdist_group("efficientnet"),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, saving
]

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "python" / "training.py"
OWN = {"head": f"{EXAMPLE}:head", "compile": f"{EXAMPLE}:compile"}
TUNED = {"mode": "fine_tune", "unfreeze_top": 1, "dropout": 0.3, "batch_size": 9, "lr_head": 0.05}
POOLED = "x = keras.layers.GlobalAveragePooling2D()(features)\n"


def written(folder: Path, body: str, arguments: str, name: str = "head") -> str:
    """Write a function of these arguments into a file, and return the option that names it."""
    path = folder / "own.py"
    path.write_text(f"import keras\ndef {name}({arguments}):\n{textwrap.indent(body, '    ')}\n")
    return f"{path}:{name}"


# ── refusals


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("own.py", r"option head is 'own\.py'; it must be FILE\.py:FUNCTION, such as head=training\.py:head"),
        ("own.py:", r"it must be FILE\.py:FUNCTION"),
        ("own.py:a-b", r"it must be FILE\.py:FUNCTION"),
        ("gone.py:head", r"gone\.py can't be read \(No such file or directory\); give the path of a Python file"),
    ],
)
def test_an_option_that_names_no_file_is_refused(make_objective, text: str, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        make_objective(head=text).define()


def test_a_file_that_fails_is_refused_before_there_is_a_study(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import a_module_that_is_not_there\n")
    server = InProcessServer()
    task = EvaluationTask("efficientnet", (("weights", "random"), ("head", f"{tmp_path / 'own.py'}:head")))
    with pytest.raises(SetupError, match=r"own\.py can't be run: ModuleNotFoundError: .*a_module_that_is_not_there"):
        run(server.client(), task, StudyRequest("s", max_trials=1), WorkerSettings("w", tmp_path / "trials"))
    with pytest.raises(bo_client.NotFound):
        server.client().study("s")


def test_a_function_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    text = written(tmp_path, "return 1", "features", "classifier")
    message = message_of({"head": text.replace(":classifier", ":head")})
    assert re.search(r"own\.py has no function 'head'; it has classifier$", message), message


HEADS = {
    "arguments": ("return 1", "features, classes", r"takes \(features, classes\); it must take \(features, classes, p"),
    "exception": (POOLED + "return x + 'a'", "", r"raised \w+: .*\(line 4\)"),
    "exit": ("raise SystemExit('no')", "", r"raised SystemExit: no \(line 3\)"),
    "no tensor": ("return 3", "", r"returned int; it must return logits, a tensor \(batch, 3\)"),
    "no pooling": ("return keras.layers.Dense(classes)(features)", "", r"the shape \(None, 8, 8, 3\); it must be "),
    "fixed classes": (POOLED + "return keras.layers.Dense(3)(x)", "", r"the shape \(None, 3\); it must be \(None, 5\)"),
    "lambda": (
        POOLED + "x = keras.layers.Lambda(lambda y: y * 2)(x)\nreturn keras.layers.Dense(classes)(x)", "",
        r"can't be saved and loaded .*keras\.saving\.register_keras_serializable",
    ),
    "not registered": (
        POOLED + "class Own(keras.layers.Dense):\n    pass\nreturn Own(classes)(x)", "",
        r"can't be saved and loaded .*register_keras_serializable",
    ),
    "in its call": (
        POOLED + "@keras.saving.register_keras_serializable()\nclass Own(keras.layers.Dense):\n"
        "    def call(self, x):\n        return super().call(x) / None\nreturn Own(classes)(x)", "",
        r"can't be trained: \w+Error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", HEADS)
def test_a_head_that_cannot_be_used_is_refused(make_small, tmp_path: Path, fault: str) -> None:
    body, arguments, words = HEADS[fault]
    text = written(tmp_path, body, arguments or "features, classes, parameters")
    make_small()
    message = message_of({"weights": "random", "image_size": "32", "head": text})
    assert re.search(words, message), message


COMPILATIONS = {
    "nothing": ("return None", r"returned NoneType; it must return a mapping with optimizer"),
    "metrics": ("return {'optimizer': keras.optimizers.SGD(), 'metrics': []}", r"returned keys optimizer, metrics"),
    "a name": ("return {'optimizer': 'sgd'}", r"returned the optimizer str; it must be a keras\.optimizers\.Optimizer"),
    "not finite": (
        "return {'optimizer': keras.optimizers.SGD(), 'loss': lambda y, p: keras.ops.sum(p, -1) * float('nan')}",
        r"has the loss nan at the first step on random features; it must be finite",
    ),
    "wrong loss": (
        "return {'optimizer': keras.optimizers.SGD(), 'loss': keras.losses.SparseCategoricalCrossentropy()}",
        r"can't be trained: ",
    ),
}


@pytest.mark.parametrize("fault", COMPILATIONS)
def test_a_compilation_that_cannot_be_used_is_refused(make_small, tmp_path: Path, fault: str) -> None:
    body, words = COMPILATIONS[fault]
    make_small()
    text = written(tmp_path, body, "model, parameters, steps", "compile")
    message = message_of({"weights": "random", "image_size": "32", "compile": text})
    assert re.search(words, message), message


# ── what is right


def test_the_example_is_accepted_and_remembered_by_its_content(make_small, tmp_path: Path) -> None:
    assert message_of({"weights": "random", "image_size": "32", **OWN}) == ""
    copy = tmp_path / "elsewhere.py"
    copy.write_bytes(EXAMPLE.read_bytes())
    options = make_small(**OWN).settings.compared()
    assert make_small(head=f"{copy}:head", compile=f"{copy}:compile").settings.compared() == options
    assert options["head.contents"].startswith("head in sha256 ")
    server = InProcessServer()
    study = server.client().create_study(
        "s", SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)]), METRICS,
        objective=ObjectiveSpec("efficientnet", options),
    )  # fmt: skip
    copy.write_text(EXAMPLE.read_text() + "# changed\n")
    other = make_small(head=f"{copy}:head", compile=OWN["compile"]).settings.compared()
    with pytest.raises(SetupError, match=r"head\.contents is .*give an --option head with the same content"):
        require_same(study, ObjectiveSpec("efficientnet", other))
    assert "head.contents" not in make_small().settings.compared()


def test_a_study_without_a_head_refuses_one(make_small) -> None:
    server = InProcessServer()
    study = server.client().create_study(
        "s", SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)]), METRICS,
        objective=ObjectiveSpec("efficientnet", make_small().settings.compared()),
    )  # fmt: skip
    with pytest.raises(SetupError, match=r"head\.contents is not set in the study .*give no --option head$"):
        require_same(study, ObjectiveSpec("efficientnet", make_small(head=OWN["head"]).settings.compared()))


def test_a_trial_with_the_example_trains_resumes_and_is_exported(make_small, make_run, tmp_path: Path) -> None:
    """The curve of a trial that is cut off is that of one that was not, and the export has the user's layers."""
    whole, first = make_run(), make_run(stop_at=1)
    objective = make_small(**OWN)
    expected = objective.evaluate(TUNED, whole)
    assert [
        layer["name"] for layer in json.loads((whole.directory / "trial.json").read_text())["record"]["after"]["layers"]
    ][-1] == "head_custom"
    with pytest.raises(bo_client.StopTrial):
        make_small(**OWN).evaluate(TUNED, first)
    second = make_run(attempt=2, checkpoint_uri=first.reports[-1][2])
    found = objective.export(TUNED, second, tmp_path / "best")
    assert [step for step, _, _ in second.reports] == [1, 2]
    assert [report[:2] for report in second.reports] == [report[:2] for report in whole.reports]
    assert {name: found[name] for name in expected} == expected
    exported = keras.saving.load_model(tmp_path / "best" / "model.keras")
    widths = [v.shape[-1] for v in exported.trainable_variables if len(v.shape) == 2]
    assert widths == [64, 3]
    assert (tmp_path / "best" / "head.py").read_bytes() == EXAMPLE.read_bytes()
    assert np.isfinite(np.asarray(exported(np.zeros((1, 32, 32, 3), np.uint8)))).all()


def test_parameters_of_ones_own_reach_the_functions_and_others_are_refused(make_small, make_run) -> None:
    runs = [make_run() for _ in range(2)]
    options = {"epochs": "1", "compile": OWN["compile"]}
    for momentum, run_ in zip((0.0, 0.9), runs, strict=True):
        make_small(**options).evaluate({"momentum": momentum, "norm": "layer", "batch_size": 9}, run_)
    assert runs[0].reports[0][1] != runs[1].reports[0][1]
    with pytest.raises(TrialFailed, match="no parameter momentum"):
        make_small(epochs="1").evaluate({"momentum": 0.9}, make_run())


def test_a_head_that_fails_with_a_trials_parameters_is_an_invalid_configuration(
    make_small, make_run, tmp_path: Path
) -> None:
    body = POOLED + "assert parameters['dropout'] < 0.5, 'too much'\nreturn keras.layers.Dense(classes)(x)"
    text = written(tmp_path, body, "features, classes, parameters")
    with pytest.raises(TrialFailed, match=r"raised AssertionError: too much \(line 4\)") as caught:
        make_small(head=text).evaluate({"dropout": 0.6}, make_run())
    assert caught.value.reason is bo_client.FailureReason.INVALID_CONFIGURATION


@pytest.mark.slow
def test_a_worker_runs_a_study_with_the_example(colored_npz: Path, tmp_path: Path) -> None:
    options = {"data": str(colored_npz), "image_size": "32", "epochs": "1", "cache_dir": str(tmp_path), **OWN}
    server, task = InProcessServer(), EvaluationTask("efficientnet", tuple(options.items()))
    asked = StudyRequest("s", {"mode": "frozen"}, max_trials=1)
    run(server.client(), task, asked, WorkerSettings("w", tmp_path / "trials"))
    (trial,) = server.client().study("s").trials()
    assert trial.state is bo_client.TrialState.SUCCEEDED
    definition = EfficientNetObjective(**options).define()
    require_same(server.client().study("s"), objective_spec(task, definition))


def test_the_page_shows_the_example() -> None:
    page = (Path(__file__).parents[3] / "docs" / "efficientnet.md").read_text("utf-8")
    code = EXAMPLE.read_text("utf-8").split('"""\n', 1)[1].lstrip()
    assert f"```python\n# training.py\n{code}```" in page
