"""Suggestions without a surrogate, and what is loaded for them."""

import subprocess
import sys

import pytest

PRELUDE = """
import sys
import bo_service.bootstrap
from bo_service.optimizer.initial_design import quasi_random
from bo_service.domain.constraints import LinearConstraint
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.optimizer.inputs import OptimizerInput, Observation, Source
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings

SPACE = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-5, 1e-1, Scale.LOG)),
        Parameter("kind", CategoricalDomain(("a", "b", "c", "d"))),
        Parameter("layers", IntDomain(1, 8)),
        Parameter("batch", DiscreteDomain((16, 32, 64, 128), Scale.LOG)),
        Parameter("drop", FloatDomain(0.0, 0.8), default=0.2, activation=Activation("kind", ("a", "b"))),
    ),
    (LinearConstraint({"layers": 1.0, "drop": 2.0}, 8.0),),
)

def past_of(seed, count):
    suggestions = quasi_random(OptimizerInput(SPACE, SuggestionSettings(), seed), count)
    return tuple(Observation(i, s.configuration, -s.configuration["lr"]) for i, s in enumerate(suggestions, 1))

"""
EPILOGUE = """
print(*sorted({s.origin.name for s in found}))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"scipy", "sklearn"}))
print(*sorted(name for name in sys.modules if "surrogates" in name))
"""
CASES = {
    "a new study": ("quasi_random(OptimizerInput(SPACE, SuggestionSettings(), 1), 33)", "DEFAULT QUASI_RANDOM"),
    "a study with trials": (
        "quasi_random(OptimizerInput(SPACE, SuggestionSettings(), 1, past_of(2, 200)), 32)",
        "QUASI_RANDOM",
    ),
    "a study that starts from others": (
        "quasi_random(OptimizerInput(SPACE, SuggestionSettings(), 1, sources=(Source('old', 0, past_of(2, 40)),)), 8)",
        "DEFAULT QUASI_RANDOM WARM_START",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_the_surrogate_is_loaded_for_them_nor_scipy(case: str) -> None:
    call, origins = CASES[case]
    code = f"{PRELUDE}found = {call}\n{EPILOGUE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=280)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, [origins, "", ""], "")
