"""Search spaces and goals as users of other tools write them."""

import bo_client
import pytest
from bo_client import CategoricalParameter, DiscreteParameter, FloatParameter, IntParameter, InvalidRequest


@pytest.fixture
def create(server):
    """Creates a study of a space; its definition as the server has it."""
    return lambda space, **more: (
        server.client().create_study("s", space, "loss", **({"goal": "minimize"} | more)).info()
    )


def test_a_dict_is_a_search_space(create) -> None:
    space = {
        "lr": (1e-5, 0.1, "log"),
        "dropout": (0.0, 0.5),
        "layers": (1, 4),
        "width": (8, 512, "log"),
        "batch": range(8, 33, 8),
        "depth": range(2, 5),
        "norm": ["batch", "layer"],
        "size": [64, 16, 32],
        "rate": [1, 0.5],
        "nesterov": [True, False],
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "default": 0.9},
        "units": {"type": "int", "low": 1, "high": 64, "log": True},
        "heads": {"type": "int", "low": 2, "high": 8, "step": 2},
        "decay": FloatParameter("decay", 1e-6, 1e-2, log=True),
    }
    assert create(space).space.parameters == (
        FloatParameter("lr", 1e-5, 0.1, "log"),
        FloatParameter("dropout", 0.0, 0.5),
        IntParameter("layers", 1, 4),
        IntParameter("width", 8, 512, "log"),
        DiscreteParameter("batch", [8, 16, 24, 32]),
        IntParameter("depth", 2, 4),
        CategoricalParameter("norm", ["batch", "layer"]),
        DiscreteParameter("size", [16, 32, 64]),
        DiscreteParameter("rate", [0.5, 1.0]),
        CategoricalParameter("nesterov", [True, False]),
        FloatParameter("momentum", 0.0, 0.99, default=0.9),
        IntParameter("units", 1, 64, "log"),
        DiscreteParameter("heads", [2, 4, 6, 8]),
        FloatParameter("decay", 1e-6, 1e-2, "log"),
    )


def test_a_list_of_parameters_is_a_search_space(create) -> None:
    parameters = [FloatParameter("x", 0.0, 1.0), CategoricalParameter("batch", [16, 64, 32], default=32)]
    assert create(parameters).space.parameters == (
        FloatParameter("x", 0.0, 1.0),
        DiscreteParameter("batch", [16, 32, 64], default=32),
    )


def test_a_numpy_number_is_a_bound(create) -> None:
    numpy = pytest.importorskip("numpy")
    (parameter,) = create({"x": (numpy.float32(0.5), numpy.int64(2))}).space.parameters
    assert parameter == FloatParameter("x", 0.5, 2.0)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ((1.0,), r"space\['x'\]: is \(1\.0,\); give \(low, high\) for numbers, \(low, high, 'log'\)"),
        ((0.0, 1.0, "exp"), r"space\['x'\]: is \(0\.0, 1\.0, 'exp'\); give"),
        (("a", "b"), r"space\['x'\]: is \('a', 'b'\); give .* a list of values"),
        ("a", r"space\['x'\]: is 'a'; give"),
        (None, r"space\['x'\]: is None; give"),
        ([[1], [2]], r"space\['x'\]: is \[1\]"),
        ({"type": "float", "low": 0.0}, r"space\.x.*high"),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}, r"space\['x'\]\.step: applies to whole numbers"),
        (range(0, 5000, 2), r"space\['x'\]\.step: is 2, which gives 2500 values; at most 1000"),
        (range(5, 0, -1), r"space\['x'\]\.step: is -1; give a whole number from 1"),
        (FloatParameter("y", 0.0, 1.0), r"space\['x'\]: holds a parameter named 'y'; give both the same name"),
        ((1.0, 0.0), r"space\['x'\].*low: is 1\.0, not below high = 0\.0; swap them"),
        ([], r"space\['x'\].*values: has 0"),
    ],
)
def test_what_is_no_parameter_is_refused_by_its_name(create, form, why) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        create({"x": form})
    assert "study.spec" not in str(caught.value)


def test_all_mistakes_are_said_at_once(create) -> None:
    with pytest.raises(InvalidRequest) as caught:
        create({"x": None, "y": "a", 3: (0, 1)})
    assert len(caught.value.violations) == 3


def test_the_servers_refusal_names_the_parameter_and_keeps_its_path_for_programs(create) -> None:
    space = bo_client.SearchSpace([FloatParameter("x", 0.0, 1.0), FloatParameter("lr", 0.0, 1.0, scale="log")])
    with pytest.raises(InvalidRequest, match=r"^space\['lr'\]\.low: is 0\.0; a log scale") as caught:
        create(space)
    assert caught.value.violations[0].field.startswith("study.spec.space.parameters[1]")


@pytest.mark.parametrize(("given", "goal"), [("min", "minimize"), ("MAXIMIZE", "maximize"), ("maximise", "maximize")])
def test_goals_have_several_names(create, given, goal) -> None:
    assert create({"x": (0, 1)}, goal=given).objective.goal == goal
    assert bo_client.Metric("loss", given).goal == goal


def test_direction_is_another_name_of_goal(create) -> None:
    assert create({"x": (0, 1)}, goal=None, direction="maximize").objective.goal == "maximize"
    with pytest.raises(InvalidRequest, match="direction: is another name of goal; give one of them"):
        create({"x": (0, 1)}, direction="minimize")
    with pytest.raises(InvalidRequest, match=r"direction: is 'up'; give \"minimize\" or \"maximize\""):
        create({"x": (0, 1)}, goal=None, direction="up")


def test_log_and_step_are_said_as_elsewhere() -> None:
    assert FloatParameter("lr", 1e-5, 0.1, log=True) == FloatParameter("lr", 1e-5, 0.1, scale="log")
    assert IntParameter("n", 1, 9, log=False, step=1) == IntParameter("n", 1, 9)
    with pytest.raises(InvalidRequest, match=r"n: has step=8.*DiscreteParameter\('n', range\(8, 64 \+ 1, 8\)\)"):
        IntParameter("n", 8, 64, step=8)
    with pytest.raises(InvalidRequest, match=r"x: has step=0\.1.*list the values in a DiscreteParameter"):
        FloatParameter("x", 0.0, 1.0, step=0.1)
    assert DiscreteParameter("n", range(8, 64 + 1, 8)).values[1] == 16
