"""How a worker's user narrows, widens and replaces an objective's space: pins, files that extend it, Python files."""

from pathlib import Path

import bo_client
import pytest
from bo_client import specfile
from bo_client.testing import InProcessServer
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.space import FALLBACKS, full_space
from bo_objectives.errors import SetupError
from bo_worker.study_request import StudyRequest, get_or_create_study


@pytest.fixture
def space(tmp_path: Path):
    """The space of a study of EfficientNet, as asked for."""

    def made(pins=None, file: str = "", name: str = "space.yaml", **options: str) -> bo_client.SearchSpace:
        path = None
        if file:
            path = tmp_path / name
            path.write_text(file)
        definition = EfficientNetObjective(**options).define()
        return (
            get_or_create_study(InProcessServer().client(), definition, StudyRequest("s", pins or {}, path))
            .info()
            .space
        )

    return made


CORE = EfficientNetObjective().define().space
OUTSIDE = {
    "schedule": "cosine", "warmup": "0.1", "weight_decay": "0.001", "label_smoothing": "0.1", "clip_norm": "1",
    "class_weights": "balanced", "augmentation": "0.5", "bias_initializer": "prior",
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [*OUTSIDE.items()])
def test_what_the_default_space_lacks_can_be_pinned(space, name: str, text: str) -> None:
    found = space({name: text})
    assert [str(v) for v in found[name].values] == [str(full_space().parse({name: text})[name])]
    assert set(found.names) == {*CORE.names, name}


def test_every_parameter_is_in_the_full_space_and_it_is_sound() -> None:
    found = EfficientNetObjective(space="full", image_sizes="64,96").define().space
    assert set(FALLBACKS) - set(found.names) == {"rand_augment", "mixup", "ema_momentum"}, "these are added by name"
    assert found.faults() == []
    active = {p.name for p in found.active({"mode": "frozen", "norm": "batch"})}
    assert not active & {"lr_backbone_ratio", "unfreeze_top", "groups", "norm_scope", "head_share"}
    assert {"norm_scope"} <= {p.name for p in found.active({"mode": "scratch"})}
    assert {"head_share", "unfreeze_top"} <= {p.name for p in found.active({"mode": "two_stage"})}


def test_a_mode_that_the_default_space_lacks_brings_what_belongs_to_it(space) -> None:
    found = space({"mode": "two_stage", "head_share": "0.5"})
    assert found["mode"].values == ("two_stage",)
    assert {"lr_backbone_ratio", "unfreeze_top", "head_share"} <= set(found.names)
    assert not {"lr_backbone_ratio", "unfreeze_top"} & set(space({"mode": "scratch"}).names)


def test_a_pin_that_even_the_whole_lacks_is_refused(space) -> None:
    with pytest.raises(SetupError, match="momentum"):
        space({"momentum": "0.9"})
    with pytest.raises(SetupError, match="dropout"):
        space({"dropout": "7"})


def test_a_file_narrows_and_widens_the_objectives_own(space) -> None:
    found = space(file=(
        "extends: objective\n"
        "parameters: {lr_head: {type: float, low: 1e-5, high: 1.0, scale: log}}\n"
        "drop: [groups, norm]\nadd: [weight_decay]\nsettings: {seed: 3}\n"
    ))  # fmt: skip
    assert (found["lr_head"].low, found["lr_head"].high) == (1e-5, 1.0)
    assert set(found.names) == {*CORE.names, "weight_decay"} - {"groups", "norm"}
    assert found["weight_decay"] == full_space()["weight_decay"]
    assert (found["dropout"], found["mode"]) == (CORE["dropout"], CORE["mode"])


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("extends: objective\ndrop: [momentum]\n", r"drop: names 'momentum'; the objective has .*'kernel_initializer'"),
        ("extends: objective\nadd: [momentum]\n", "add: names 'momentum'"),
        ("extends: objective\ndrop: [mode]\n", "must be a parameter earlier in the list"),
        ("extends: everything\n", "extends: is 'everything'; give one of objective"),
    ],
)
def test_a_faulty_extension_is_told_with_its_place(space, file: str, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        space(file=file)


def test_extending_needs_an_objective(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("extends: objective\n")
    with pytest.raises(bo_client.InvalidRequest, match="needs an objective, which `bo-worker run --objective` brings"):
        specfile.load(path)


PYTHON = """
from bo_client import FloatParameter, SearchSpace

def space(default, whole):
    return SearchSpace([default["mode"], FloatParameter("lr_head", 1e-3, 2e-3), whole["warmup"]])

settings = {"max_trials": 4}
"""


def test_a_python_file_makes_a_space_of_the_objectives(space) -> None:
    found = space(file=PYTHON, name="space.py")
    assert found.names == ("mode", "lr_head", "warmup")
    assert found["warmup"] == full_space()["warmup"]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("space = 3", "space is int; it must be a SearchSpace"),
        ("1 / 0", "can't be run: ZeroDivisionError"),
        ("def space(default, whole): return default\nmetrics = 'loss'", "metrics must be a list"),
    ],
)
def test_a_faulty_python_file_is_told(space, file: str, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        space(file=file, name="space.py")
