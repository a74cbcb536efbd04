"""Which peers there are, and where each finds its library."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements"


@dataclass(frozen=True)
class Entry:
    """A peer: the module `benchmarks.peers.<module>` makes it; its environment is the project's own where None."""

    module: str
    environment: str | None = None
    variant: str = ""


CATALOG = {
    "ours": Entry("ours"),
    "random": Entry("random_search"),
    "sobol": Entry("sobol"),
    "grid": Entry("grid"),
    "optuna-gp": Entry("optuna", "optuna", "gp"),
    "optuna-tpe": Entry("optuna", "optuna", "tpe"),
    "ax": Entry("ax", "ax"),
    "hebo": Entry("hebo", "hebo"),
    "smac": Entry("smac", "smac", "forest"),
    "smac-gp": Entry("smac", "smac", "gp"),
    "skopt": Entry("skopt", "skopt"),
    "bayesian-optimization": Entry("bayesian_optimization", "bayesian-optimization"),
    "keras-tuner": Entry("keras_tuner", "keras-tuner"),
    "vizier": Entry("vizier", "vizier"),
}


def entry_of(peer: str) -> Entry:
    """The entry of a name; `ours~VARIANT` is ours with a choice switched off. Raises KeyError."""
    name, _, variant = peer.partition("~")
    return replace(CATALOG[name], variant=variant) if variant else CATALOG[name]


def environments(given: Path | None = None) -> Path:
    """Where environments are: the given folder, that of BENCHMARKS_ENVIRONMENTS, or one beside this package."""
    return given or Path(os.environ.get("BENCHMARKS_ENVIRONMENTS") or HERE.parent / ".environments")


def interpreter(entry: Entry, folder: Path) -> Path:
    """The Python that has the peer's library."""
    return Path(sys.executable) if entry.environment is None else folder / entry.environment / "bin" / "python"
