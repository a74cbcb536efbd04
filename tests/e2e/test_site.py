"""The documentation as a site: it builds without a warning, loads nothing from elsewhere, and its first page runs."""

import html
import inspect
import operator
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest
from bo_api.v1 import insight_pb2, optimization_service_pb2, space_pb2, study_pb2, token_service_pb2, trial_pb2

MODULES = (insight_pb2, optimization_service_pb2, space_pb2, study_pb2, token_service_pb2, trial_pb2)
CONTRACT = [module.DESCRIPTOR for module in MODULES]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("site")  # it is built once
LOGGERS = {"bo_client.keras_tuner", "bo_client.optuna", "bo_client.ray_tune"}
"""Names that pages have in common with the reference, and that are no modules."""
LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="?(https?://[^"\s>]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ".", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


def test_every_page_is_there_and_tells_what_it_is_made_of(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert len(pages) > 15
    assert [name for name in pages if not (site / name / "index.html").exists()] == []
    assert "create_study" in text_of(site / "reference" / "python" / "index.html")
    assert "0001: Every RPC has its own response message" in text_of(site / "reference" / "decisions" / "index.html")


@pytest.fixture(scope="module")
def reference(site: Path) -> set[str]:
    """The names that the reference of `bo_client` has a place for."""
    return set(re.findall(r'id="(bo_client[^"]*)"', (site / "reference" / "python" / "index.html").read_text()))


def test_the_reference_has_every_public_name_of_the_client(reference: set[str]) -> None:
    public = {f"bo_client.{name}": getattr(bo_client, name) for name in bo_client.__all__}
    members = {name: places(value) for name, value in public.items() if inspect.isclass(value)}
    for name in members:
        own = {key: member for key, member in vars(public[name]).items() if not key.startswith("_")}
        public |= {f"{name}.{key}": member for key, member in own.items() if getattr(member, "__doc__", None)}
    assert len(public) > 200
    assert sorted(set(public) - reference) == []
    missing = [(name, m) for name, found in members.items() for m, where in found.items() if not where & reference]
    assert missing == []


def places(of: type) -> dict[str, set[str]]:
    """The public members of a class, each with the names under which the reference may have it: a base has its own."""
    bases = [base for base in of.__mro__ if base.__module__.startswith("bo_client")]
    own = {key for base in bases for key, member in vars(base).items() if getattr(member, "__doc__", None)}
    return {key: {f"bo_client.{base.__name__}.{key}" for base in bases} for key in own if not key.startswith("_")}


TYPED = """
local LocalClient.serve Study.optimize Study.ask Study.tell Study.add Study.enqueue Study.best_params Study.best_value
Study.best_trial Study.trials_dataframe Study.trials Study.finish Study.pause Study.resume Study.delete Study.copy
Study.rename Study.set_note Study.add_artifact Study.artifacts Study.read_artifact Trial.params RunningTrial.params
RunningTrial.set_note RunningTrial.set_label RunningTrial.add_artifact
"""
"""What users of Optuna, scikit-learn and pandas type."""
ARGUMENTS = {
    "Study.optimize": "n_trials n_jobs timeout callbacks progress catch",
    "Client.create_study": "direction goal",
    "FloatParameter": "log",
    "IntParameter": "log",
}


@pytest.mark.parametrize("name", TYPED.split())
def test_what_users_of_other_tools_type_is_there_and_in_the_reference(reference: set[str], name: str) -> None:
    owner, _, member = name.rpartition(".")
    assert hasattr(getattr(bo_client, owner) if owner else bo_client, member)
    assert ({f"bo_client.{name}"} if not owner else places(getattr(bo_client, owner))[member]) & reference


def test_their_arguments_are_there_and_in_the_reference(site: Path) -> None:
    page = text_of(site / "reference" / "python" / "index.html")
    for name, arguments in ARGUMENTS.items():
        signature = inspect.signature(operator.attrgetter(name)(bo_client))
        assert not set(arguments.split()) - set(signature.parameters), name
        assert [argument for argument in arguments.split() if argument not in page] == []
    for algorithm in ("gaussian_process", "quasi_random", "random", "grid"):
        assert f'"{algorithm}"' in html.unescape(page)


def test_the_reference_has_the_public_modules_of_the_client(reference: set[str]) -> None:
    """Those that say what is public, and those that the pages name."""
    packages = [module for module in pkgutil.iter_modules(bo_client.__path__, "bo_client.") if module.ispkg]
    names = {(p.name, name) for p in packages for name in getattr(pkgutil.resolve_name(p.name), "__all__", ())}
    assert sorted(f"{module}.{name}" for module, name in names if f"{module}.{name}" not in reference) == []
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    used = {name for page in pages for name in re.findall(r"\bbo_client(?:\.\w+)+", page.read_text())}
    imported = {
        f"{module}.{name}"
        for page in pages
        for module, names in re.findall(r"^from (bo_client[\w.]*) import (.+)$", page.read_text(), re.MULTILINE)
        for name in names.split(", ")
    }
    known = reference | {name.removesuffix(".module") for name in reference} | LOGGERS | {"bo_client.integrations"}
    assert len(used) > 30
    assert sorted((used | imported) - known) == []


def test_the_contract_is_told_whole(site: Path) -> None:
    """Every method, message, field and enum value, each with a place and words of its own."""
    page = (site / "reference" / "contract" / "index.html").read_text()
    for file in CONTRACT:
        for service in file.services_by_name.values():
            assert [m.name for m in service.methods if f'id="{service.name}.{m.name}"' not in page] == []
        for message in file.message_types_by_name.values():
            section = page[page.index(f'id="{message.name}"') :].partition("<h3")[0]
            assert [f.name for f in message.fields if f"<code>{f.name}</code>" not in section] == []
        for enum in file.enum_types_by_name.values():
            section = page[page.index(f'id="{enum.name}"') :].partition("<h3")[0]
            assert [v.name for v in enum.values if f"<code>{v.name}</code>" not in section] == []
    assert "<td></td>" not in page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    found = {(str(page.relative_to(site)), address) for page in pages for address in LOADED.findall(page.read_text())}
    assert found == set()
