"""Options, parameters, the space and the textbook: all that is known before Keras is loaded."""

import subprocess
import sys

import pytest
from bo_client import FailureReason
from bo_objectives.base import HasTestSet, Repeatable, TrialFailed
from bo_objectives.efficientnet.names import BACKBONES, INITIALIZERS
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.settings import TrainingSettings
from bo_objectives.efficientnet.space import BASELINE, FALLBACKS, default_space
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_objectives.errors import SetupError


def test_defining_and_checking_load_no_keras() -> None:
    code = (
        "import sys\n"
        "from bo_objectives.efficientnet.objective import EfficientNetObjective\n"
        "EfficientNetObjective(data='emoji', epochs='3').define()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"keras", "tensorflow", "jax", "torch", "sklearn", "scipy"}


def test_the_objective_can_be_examined_and_repeated() -> None:
    assert isinstance(EfficientNetObjective(), HasTestSet)
    assert isinstance(EfficientNetObjective(), Repeatable)


def test_float16_on_mirrored_devices_is_refused() -> None:
    with pytest.raises(
        SetupError, match=r"option precision is 'float16'.*set precision=bfloat16, or leave the strategy"
    ):
        TrainingSettings.from_options({"precision": "float16", "strategy": "mirrored"})


@pytest.mark.parametrize("width", [1, 7, 8, 96, 128])
def test_the_space_is_sound_and_holds_the_textbook(width: int) -> None:
    space = default_space(width)
    assert space.faults() == []
    assert space.configuration_faults(BASELINE) == []


def test_the_space_holds_all_that_is_named() -> None:
    space = EfficientNetObjective().define().space
    assert space["kernel_initializer"].values == INITIALIZERS
    assert {"normal_1", "normal_0.01", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros"} == set(
        INITIALIZERS
    )
    assert set(space["norm"].values) == {"none", "batch", "layer", "instance", "group"}
    assert set(space["mode"].values) == {"frozen", "fine_tune"}
    assert {p.name for p in space.parameters} < set(FALLBACKS)


def test_both_learning_rates_exist_only_where_the_backbone_is_trained() -> None:
    space = default_space()
    assert "lr_backbone_ratio" not in {p.name for p in space.active({"mode": "frozen", "norm": "batch"})}
    assert {"lr_backbone_ratio", "unfreeze_top"} <= {p.name for p in space.active({"mode": "fine_tune"})}


@pytest.mark.parametrize("width", [2, 12, 128])
def test_group_counts_divide_the_width(width: int) -> None:
    space = default_space(width)
    if "group" in space["norm"].values:
        assert all(width % g == 0 and width // g >= 2 for g in space["groups"].values)
    else:
        assert width == 2


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_accepted(name: str) -> None:
    assert TrainingSettings.from_options({"backbone": name}).backbone == name


def test_b0_to_b7_are_among_the_backbones() -> None:
    assert {f"efficientnet_b{i}" for i in range(8)} <= set(BACKBONES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": "3"}, r"unknown option epoch; .*epochs"),
        ({"epochs": "three"}, r"epochs is 'three'; it must be a whole number"),
        ({"epochs": "0"}, r"epochs is 0; it must be 1 or more"),
        ({"image_size": "100"}, r"image_size is 100; it must be a multiple of 32"),
        ({"backbone": "resnet50"}, r"backbone is 'resnet50'; it must be one of efficientnet_lite0"),
        ({"cache": "yes"}, r"cache is 'yes'; it must be one of on, off"),
        ({"backend": "theano"}, r"backend is 'theano'; it must be one of .*tensorflow"),
        ({"seed": "-1"}, r"seed is -1; it must be from 0"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(options: dict[str, str], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        EfficientNetObjective(**options)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"learning_rate": 0.1}, r"no parameter learning_rate; it has .*lr_head"),
        ({"norm": "weight"}, r"norm is 'weight'; it must be one of none, batch"),
        ({"kernel_initializer": "ones"}, r"kernel_initializer is 'ones'; it must be one of glorot_uniform"),
        ({"mode": "thaw"}, r"mode is 'thaw'; it must be one of frozen, fine_tune, two_stage, scratch"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must be at least 0 and below 1"),
        ({"lr_head": 0.0}, r"lr_head is 0.0; it must be above 0"),
        ({"lr_head": "fast"}, r"lr_head is 'fast'; it must be above 0"),
        ({"batch_size": 0}, r"batch_size is 0; it must be a whole number"),
        ({"groups": 2.5}, r"groups is 2.5; it must be a whole number"),
        ({"mode": 1}, r"mode is 1; it must be one of"),
    ],
)
def test_a_wrong_parameter_is_an_invalid_configuration(parameters, words: str) -> None:
    with pytest.raises(TrialFailed, match=words) as caught:
        TrialConfig.of(parameters)
    assert caught.value.reason is FailureReason.INVALID_CONFIGURATION


def test_parameters_that_are_left_out_are_the_textbooks() -> None:
    choice = TrialConfig.of({"dropout": 0.5})
    assert choice.dropout == 0.5
    assert (choice.norm, choice.kernel_initializer, choice.lr_head) == ("batch", "glorot_uniform", 1e-3)
    assert choice.unfreeze_top == 0
    assert TrialConfig.of({"mode": "fine_tune", "unfreeze_top": 3}).unfreeze_top == 3
    assert TrialConfig.of({"mode": "frozen", "unfreeze_top": 3}).unfreeze_top == 0


def test_whole_numbers_and_floats_are_told_apart_by_the_parameter_not_by_how_they_are_written() -> None:
    choice = TrialConfig.of({"batch_size": 16.0, "groups": 4.0, "lr_head": 1})
    assert [type(v) for v in (choice.batch_size, choice.groups, choice.lr_head)] == [int, int, float]
