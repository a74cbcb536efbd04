"""Objectives found by name, by entry point and by path, and every way in which that fails."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from bo_objectives import discovery
from bo_objectives.errors import SetupError
from bo_objectives.functions import Function

BUNDLED = ["ackley", "branin", "command", "efficientnet", "hartmann6", "rosenbrock"]

PARABOLA = '''
class Parabola:
    """A parabola.

    More of it."""

    def __init__(self, center="0"):
        self.center = float(center)

    def define(self): ...

    def evaluate(self, parameters, run): ...

class Family:
    steep = Parabola

half = lambda: object()
number = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with modules that no other test has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    before = set(sys.modules)
    (tmp_path / "own_parabola.py").write_text(PARABOLA)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def add_points(monkeypatch: pytest.MonkeyPatch):
    """Makes it seem that packages with these entry points are installed."""
    real = importlib.metadata.entry_points

    def add(**points: str) -> None:
        added = [EntryPoint(name.rstrip("_"), value, discovery.GROUP) for name, value in points.items()]
        monkeypatch.setattr(discovery, "entry_points", lambda group: [*real(group=group), *added])

    return add


def test_by_name_with_options() -> None:
    objective = discovery.make("ackley", {"dimensions": "3", "noise": "0.5"})
    assert isinstance(objective, Function)
    assert len(objective.define().space.parameters) == 3
    assert objective.noise == 0.5


def test_every_bundled_objective_is_listed_with_one_line() -> None:
    found = {a.name: a.description for a in discovery.available()}
    assert set(BUNDLED) <= set(found)
    for name in BUNDLED:
        assert 10 < len(found[name]) < 120, name
        assert "\n" not in found[name]
        assert "can't be loaded" not in found[name]
    assert found["branin"].startswith("Branin: 2 dimensions")


def test_by_path_from_the_current_directory(folder: Path) -> None:
    objective = discovery.make("own_parabola:Parabola", {"center": "0.5"})
    assert objective.center == 0.5  # type: ignore[attr-defined]
    assert type(discovery.make("own_parabola:Family.steep", {})) is type(objective)


def test_by_an_entry_point_of_another_package(folder: Path, add_points) -> None:
    add_points(parabola="own_parabola:Parabola", broken="own_parabola:nothing")
    sys.path.insert(0, str(folder))
    assert discovery.make("parabola", {}).center == 0  # type: ignore[attr-defined]
    found = {a.name: a.description for a in discovery.available()}
    assert found["parabola"] == "A parabola."
    assert "can't be loaded from own_parabola:nothing" in found["broken"]
    assert set(BUNDLED) <= set(found)


def test_a_bundled_objective_whose_packages_are_missing_says_what_to_install(add_points, tmp_path: Path) -> None:
    add_points(lacking="bo_objectives.absent:X")
    with pytest.raises(SetupError, match=r"No module named 'bo_objectives.absent'; pip install 'bo-service\[tensor"):
        discovery.find("lacking")


def test_a_name_that_two_packages_offer_is_refused_unless_they_offer_the_same(add_points) -> None:
    add_points(branin="elsewhere:branin", ackley="bo_objectives.functions:ackley")
    with pytest.raises(SetupError, match=r"bo_objectives\.functions:branin and elsewhere:branin"):
        discovery.make("branin", {})
    assert discovery.make("ackley", {})


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("brannin", {}, r"'brannin'; did you mean branin\?.*ackley, branin.*module:attribute"),
        ("zzz", {}, r"'zzz'; there are ackley"),
        ("branin", {"dimension": "3"}, r"unknown option dimension; objective branin has noise, delay, steps"),
        ("branin", {"noise": "loud"}, r"option noise is 'loud'"),
        ("efficientnet", {"epoch": "3"}, r"unknown option epoch; .*epochs"),
        ("command", {}, r"space"),
        (":Parabola", {}, r"form module:attribute"),
        ("own_parabola:", {}, r"form module:attribute"),
        ("absent_one.deep:Parabola", {}, r"no module absent_one.*start in the folder"),
        ("own_parabola:Parable", {}, r"own_parabola has no Parable"),
        ("own_parabola:number", {}, r"is int; give a class or function"),
        ("own_parabola:half", {}, r"lacks define and evaluate"),
        ("own_parabola:half", {"x": "1"}, r"unknown option x; objective own_parabola:half takes none"),
        ("own_parabola:Parabola", {"center": "mid"}, r"center='mid': ValueError: could not convert"),
        ("needy:Needy", {}, r"needs the option data"),
        ("broken_import:X", {}, r"importing broken_import failed: ModuleNotFoundError.*absent_two"),
        ("broken_syntax:X", {}, r"importing broken_syntax failed: SyntaxError"),
    ],
)
def test_a_mistake_is_told(name: str, options: dict[str, str], words: str, folder: Path) -> None:
    (folder / "needy.py").write_text("class Needy:\n    def __init__(self, data): ...\n")
    (folder / "broken_import.py").write_text("import absent_two\n")
    (folder / "broken_syntax.py").write_text("class X(:\n")
    with pytest.raises(SetupError, match=f"(?s){words}"):
        discovery.make(name, options)


def test_finding_and_making_bring_in_nothing_heavy() -> None:
    code = (
        "import sys, bo_objectives.discovery as d; d.available(); d.make('efficientnet', {}); d.make('branin', {})\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "bo_objectives" in loaded
    assert not loaded & {"keras", "tensorflow", "jax", "torch", "sklearn", "scipy", "bo_service"}
