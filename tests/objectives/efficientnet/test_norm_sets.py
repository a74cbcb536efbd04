"""A norm that pools a single number gives 0 for every image: it is neither offered nor trained with."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from bo_client import FailureReason, ForbiddenCombination
from bo_client.testing import InProcessServer
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.names import BACKBONES, BATCH, GROUP, INSTANCE, LAYER, NORMS
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.set_size import is_constant, positions
from bo_objectives.efficientnet.space import default_space, full_space
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_worker.study_request import StudyRequest, get_or_create_study

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import backbone  # noqa: E402
from bo_objectives.efficientnet.network_surgery import Norms, normalized_maps  # noqa: E402
from bo_objectives.efficientnet.norms import norm_layer  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("keras")]


def normalized(norm: str, side: int, width: int, groups: int, images: int) -> np.ndarray:
    layer = norm_layer(norm, groups, width, "head_norm")
    maps = np.random.default_rng(0).normal(0, 3, (images, side, side, width)).astype(np.float32)
    return maps if layer is None else np.asarray(layer(maps, training=True))


# ── the rule, by what layers do


@pytest.mark.parametrize("norm", NORMS)
def test_the_rule_says_which_layers_give_0_for_everything(norm: str) -> None:
    for side, width, images in itertools.product((1, 2), (1, 2, 4, 6), (1, 2, 3)):
        for groups in (1, 2, 3, 4, 6) if norm == GROUP else (1,):
            if width % groups == 0:
                is_zero = not normalized(norm, side, width, groups, images).any()
                assert is_constant(norm, side * side, width, groups, images) == is_zero, (side, width, groups, images)


# ── the space


@pytest.mark.parametrize("head_width", [1, 2, 3, 8, 128])
def test_every_norm_that_the_space_offers_lets_something_through(head_width: int) -> None:
    """All that it offers together, in the head; images of a batch differ, so what is made of them must."""
    sizes = (32, 64)
    full = full_space(head_width, sizes)
    spaces = [(size, default_space(head_width, size)) for size in sizes] + [(size, full) for size in sizes]
    for size, space in spaces:
        side, images = size // 32, min(space["batch_size"].values)
        for norm in space["norm"].values:
            forbidden = not space.is_feasible({"norm": norm, "image_size": size})
            for groups in space["groups"].values if norm == GROUP else (1,):
                is_zero = not normalized(norm, side, head_width, int(groups), int(images)).any()
                assert is_zero == forbidden, (size, norm, groups)


def check_backbone(name: str) -> None:
    """Every norm and group count of the full space, in the place of each of its norms, at the smallest size."""
    maps = normalized_maps(backbone.architecture(name, 32)[0])
    assert maps[-1].positions == positions(32) == 1
    space = full_space(128, (), 32)
    for norm in space["norm"].values:
        for groups in space["groups"].values if norm == GROUP else (1,):
            for found in maps:
                in_layer = Norms(norm, int(groups)).groups_in(found.width)
                assert not is_constant(norm, found.positions, found.width, in_layer, 16), (norm, groups, found)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0"])
def test_in_the_whole_network_too_every_offered_norm_lets_something_through(name: str) -> None:
    check_backbone(name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in ("efficientnet_lite0", "efficientnet_b0")])
def test_in_every_backbone_every_offered_norm_lets_something_through(name: str) -> None:
    check_backbone(name)


def test_instance_norm_is_offered_where_the_map_has_more_than_one_position() -> None:
    for size, is_there in (("32", False), ("64", True)):
        definition = EfficientNetObjective(image_size=size, weights="random").define()
        assert (INSTANCE in definition.space["norm"].values) == is_there
        assert (INSTANCE in definition.whole["norm"].values) == is_there
        assert definition.space.constraints == definition.whole.constraints == ()
    assert LAYER not in default_space(1, 32)["norm"].values
    assert LAYER in default_space(1, 64)["norm"].values


def test_where_the_size_is_tuned_the_two_are_forbidden_together() -> None:
    space = EfficientNetObjective(space="full", image_sizes="32,64", weights="random").define().space
    (found,) = space.constraints
    assert isinstance(found, ForbiddenCombination)
    assert found.parameters == {"norm": INSTANCE, "image_size": 32}
    assert space.faults() == []


def enrolled(pins, tmp_path: Path, file: str = "", **options: str):
    path = tmp_path / "space.yaml"
    path.write_text(file)
    definition = EfficientNetObjective(weights="random", **options).define()
    return (
        get_or_create_study(InProcessServer().client(), definition, StudyRequest("s", pins, path if file else None))
        .info()
        .space
    )


def test_a_pinned_size_and_a_file_bring_what_is_forbidden_with_them(tmp_path: Path) -> None:
    sizes = {"image_sizes": "32,64"}
    expected = full_space(128, (32, 64)).constraints
    assert enrolled({"image_size": "32"}, tmp_path, **sizes).constraints == expected
    assert enrolled({"image_size": "64"}, tmp_path, **sizes).constraints == ()
    widened = "extends: objective\nadd: [image_size]\n"
    assert enrolled({}, tmp_path, widened, **sizes).constraints == expected
    narrowed = "extends: objective\ndrop: [dropout]\n"
    assert enrolled({}, tmp_path, narrowed, space="full", **sizes).constraints == expected
    replaced = widened + "parameters: {norm: {type: categorical, values: [batch, layer]}}\ndrop: [groups]\n"
    assert enrolled({}, tmp_path, replaced, **sizes).constraints == ()


# ── a trial


BLOCKS = {"norm": GROUP, "groups": 192, "norm_scope": "network"}


@pytest.mark.parametrize(
    ("parameters", "options", "words"),
    [
        ({"norm": INSTANCE}, {}, "the norm 'instance' can't be used at image_size 32: the feature map that head_norm"),
        ({"norm": INSTANCE, "image_size": 32}, {"image_size": "64"}, "set norm to batch or none, or image_size to 64"),
        ({"norm": GROUP, "groups": 8}, {}, "'group' with groups 8 can't be used at image_size 32.*set groups to fewer"),
        ({"norm": LAYER}, {"head_width": "1"}, "'layer' can't be used at image_size 32.*1 position and 1 channels"),
        ({"norm": BATCH, "batch_size": 1}, {}, "'batch' with batch_size 1 can't be .*set batch_size to 2 or more"),
        ({"norm": "none", "batch_size": 1, "mode": "scratch"}, {}, "'batch' with batch_size 1 .*that block6a_bn norm"),
        ({**BLOCKS, "mode": "scratch"}, {"head_width": "384"}, "'group' with groups 192 .*that block6a_project_bn"),
    ],
)
def test_a_norm_that_lets_nothing_through_is_an_invalid_configuration_before_images_are_read(
    make_objective, run, monkeypatch, parameters, options, words: str
) -> None:
    monkeypatch.setattr("bo_objectives.efficientnet.data_sources.load", lambda *_: 1 / 0)
    with pytest.raises(TrialFailed, match=words) as caught:
        make_objective(**options).evaluate(parameters, run)
    assert caught.value.reason is FailureReason.INVALID_CONFIGURATION
    assert run.reports == []


def test_the_blocks_that_are_fine_tuned_are_looked_at_and_no_others(make_objective) -> None:
    objective = make_objective(head_width="384")
    with objective.context() as bench:
        bench.check(TrialConfig.of({**BLOCKS, "mode": "fine_tune", "unfreeze_top": 1}))
        with pytest.raises(TrialFailed, match="block6d_project_bn"):
            bench.check(TrialConfig.of({**BLOCKS, "mode": "fine_tune", "unfreeze_top": 2}))
        bench.check(TrialConfig.of({**BLOCKS, "mode": "frozen"}))


@pytest.mark.parametrize(
    ("parameters", "options", "is_merged"),
    [
        ({"norm": BATCH}, {}, True),
        ({"norm": "none", "mode": "scratch"}, {}, True),
        ({"norm": LAYER}, {}, False),
        ({"norm": LAYER, "mode": "scratch", "norm_scope": "network"}, {}, False),
        ({"norm": BATCH}, {"image_size": "64"}, False),
    ],
)
def test_no_batch_norm_sees_a_single_number(make_objective, parameters, options, is_merged: bool) -> None:
    """A last batch of one image at 32 pixels."""
    with make_objective(**options).context() as bench:
        assert bench.plan(TrialConfig.of(parameters)).merges_single is is_merged


@pytest.mark.parametrize(
    "parameters",
    [
        {"norm": INSTANCE, "image_size": 64},
        {"norm": BATCH, "batch_size": 1, "image_size": 64},
        {"norm": "none", "batch_size": 1},
        {"norm": GROUP, "groups": 4},
        {"norm": LAYER, "batch_size": 1},
        {"norm": BATCH, "batch_size": 2, "mode": "scratch"},
    ],
)
def test_what_lets_something_through_is_taken(make_objective, parameters) -> None:
    with make_objective().context() as bench:
        bench.check(TrialConfig.of(parameters))
