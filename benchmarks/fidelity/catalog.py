"""The methods that are compared. A line of METHODS is all that a further one needs.

A method's library is loaded when it is asked for. One that can't be installed beside this project's packages has an
environment of its own, in which this program runs too.
"""

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.curves import points, table
from benchmarks.fidelity import replay
from benchmarks.fidelity.best_so_far import BestSoFar
from benchmarks.peers.process import ROOT

SERVICE = tuple(ROOT / "bo_service" / name for name in ("domain", "optimizer", "application"))
BASE = "ours"
"""The method with which all others are compared: no trial is stopped."""
DIGEST_LENGTH = 10


class MethodError(Exception):
    """There is no such method, or its library is not installed."""


@dataclass(frozen=True)
class Entry:
    """A method: a class of a module of `benchmarks.fidelity`, and what it is made with."""

    module: str
    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Packages that it imports; the first one's version is part of the method's version."""
    distribution: str = ""
    """What the first package is installed as, if not by its own name."""
    environment: str = ""
    """Environment that has them: a file of `requirements`; empty where the project's own has."""
    uses: tuple[str, ...] = ()
    """Further modules of `benchmarks.fidelity` whose code is part of the method's version."""
    reports_best: bool = False
    """Whether workers report the best loss of a trial so far, since they keep that checkpoint."""


def _ours(**options: str) -> Entry:
    return Entry("ours", "Ours", options)


def _optuna(sampler: str, pruner: str) -> Entry:
    options = {"sampler": sampler, "pruner": pruner}
    if sampler == "gp":
        return Entry("optuna_study", "Optuna", options, ("optuna", "torch"), environment="optuna")
    return Entry("optuna_study", "Optuna", options, ("optuna",))


def _syne_tune(scheduler: str, **options: str) -> Entry:
    options = {"scheduler": scheduler, **options}
    return Entry("syne_tune_schedulers", "SyneTune", options, ("syne_tune",), environment="syne-tune")


def _best_so_far(entry: Entry) -> Entry:
    return replace(entry, uses=(*entry.uses, "best_so_far"), reports_best=True)


METHODS = {
    "random": Entry("random_search", "Random"),
    "ours": _ours(),
    "ours-asha": _ours(promotion="asha"),
    "ours-forecast": _ours(promotion="forecast"),
    "ours-forecast-best": _best_so_far(_ours(promotion="forecast")),
    "ours-median": _ours(stopping="median"),
    "ours-halving": _ours(stopping="successive_halving"),
    "ours-curve": _ours(stopping="curve"),
    "optuna-tpe": _optuna("tpe", "none"),
    "optuna-tpe-halving": _optuna("tpe", "halving"),
    "optuna-tpe-halving-best": _best_so_far(_optuna("tpe", "halving")),
    "optuna-tpe-hyperband": _optuna("tpe", "hyperband"),
    "optuna-gp": _optuna("gp", "none"),
    "optuna-gp-halving": _optuna("gp", "halving"),
    "optuna-gp-hyperband": _optuna("gp", "hyperband"),
    "ray-asha": Entry("ray_asha", "RayAsha", needs=("ray", "pyarrow"), uses=("random_search",)),
    "syne-asha": _syne_tune("asha", type="promotion"),
    "syne-mobster": _syne_tune("mobster"),
    "syne-dyhpo": _syne_tune("dyhpo"),
    "smac": Entry("smac_facade", "Smac", needs=("smac",), environment="smac"),
}


def entry_of(name: str) -> Entry:
    """Return the entry of a method.

    Raises:
        MethodError: there is no such method, or a package that it needs is not installed.
    """
    if name not in METHODS:
        raise MethodError(f"{name!r} is not a method; there are {', '.join(METHODS)}")
    entry = METHODS[name]
    if missing := missing_packages(entry):
        raise MethodError(f"{name} needs {', '.join(missing)}: {_advice(entry)}, or leave the method out")
    return entry


def missing_packages(entry: Entry) -> list[str]:
    """Return the packages that a method needs and that are not installed here."""
    return [package for package in entry.needs if find_spec(package) is None]


def make_of(name: str) -> replay.Make:
    """Return what makes a method. Raises MethodError."""
    entry = entry_of(name)
    module = importlib.import_module(f"benchmarks.fidelity.{entry.module}")
    make: replay.Make = partial(getattr(module, entry.kind), **entry.options)
    return partial(BestSoFar, make) if entry.reports_best else make


def version_of(name: str) -> str:
    """Return the version of a method's library, if any, and a digest of its options and of the code that replays it.

    Raises:
        MethodError: there is no such method, or its library is not installed.
    """
    entry = entry_of(name)
    files = [Path(module.__file__ or "") for module in (points, table, replay)]
    files += [Path(__file__).with_name(f"{name}.py") for name in (entry.module, *entry.uses)]
    if entry.module == "ours":
        files += [path for folder in SERVICE for path in sorted(folder.rglob("*.py"))]
        files.append(ROOT / "benchmarks" / "early_stopping.py")
    content = hashlib.sha256(repr(sorted(entry.options.items())).encode())
    for file in files:
        content.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    code = f"code-{content.hexdigest()[:DIGEST_LENGTH]}"
    return f"{entry.needs[0]}-{version(entry.distribution or entry.needs[0])} {code}" if entry.needs else code


def _advice(entry: Entry) -> str:
    if not entry.environment:
        return "install it"
    return f"make its environment with python -m benchmarks.fidelity install {entry.environment}, and run it apart"
