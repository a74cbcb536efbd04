"""The page on adding a backend, done: the backend that it shows is registered, passes the contract, and serves."""

import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from bo_service.application.ports import Store, UnitOfWork
from bo_service.domain.errors import StartupError
from bo_service.storage.factory import backend_of, open_store, register
from tests.storage.test_stores import STUDY, StorageContract

PAGE = Path("docs/add-a-backend.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(BACKEND,) = (text for _, text in BLOCKS if text.startswith("# pickle_backend.py"))
(ENTRY_POINTS,) = (text for language, text in BLOCKS if language == "toml")


@pytest.fixture(scope="module")
def backend() -> ModuleType:
    """The module of the page."""
    module = ModuleType("pickle_backend")
    exec(compile(BACKEND, "pickle_backend.py", "exec"), vars(module))
    return module


class TestPickle(StorageContract):
    @pytest.fixture
    def address(self, backend: ModuleType, tmp_path: Path) -> str:
        register("pickle", backend.PickleBackend())
        return f"pickle:{tmp_path}/bo.pickle"

    def test_what_it_does_not_write_is_refused(self, store, address, tmp_path) -> None:
        backend = backend_of(address)
        for refused in (
            lambda: backend.migrate(address),
            lambda: backend.pending_migration(address),
            lambda: backend.backup(address, tmp_path / "copy"),
            lambda: backend.restore(address, tmp_path / "copy", replace=True),
        ):
            with pytest.raises(StartupError, match=f"--storage: {re.escape(address)} (has no schema|can't be)"):
                refused()


def test_the_page_names_what_has_to_be_written() -> None:
    section = PAGE.partition("## What a unit of work has to write")[2].partition("\n\nThe other methods")[0]
    assert set(re.findall(r"`(\w+)`", section)) == UnitOfWork.__abstractmethods__
    section = PAGE.partition("## What a store promises")[2].partition("\n\n- ")[0]
    assert set(re.findall(r"`(\w+)\(", section)) == Store.__abstractmethods__
    count = len(UnitOfWork.__abstractmethods__) + len(Store.__abstractmethods__)
    assert count <= 28
    assert f"A backend writes {count} methods" in PAGE


@pytest.fixture
def installed(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process that finds the page's package."""
    (tmp_path / "pickle_backend.py").write_text(BACKEND)
    metadata = tmp_path / "pickle_backend-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pickle-backend\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS.replace('project.entry-points."', "").replace('"', ""))
    return {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "PATH": ""}


def test_an_installed_backend_serves_the_commands(installed: Mapping[str, str], tmp_path: Path) -> None:
    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        program = [sys.executable, "-m", "bo_service.cli.main", *arguments]
        return subprocess.run(program, capture_output=True, text=True, timeout=280, env=dict(installed), cwd=tmp_path)

    made = command("token", "create", "--role", "admin", "--storage", "pickle:bo.pickle")
    assert made.returncode == 0, made.stderr
    listed = command("token", "list", "--storage", "pickle:bo.pickle")
    assert "admin" in listed.stdout
    refused = command("backup", "--storage", "pickle:bo.pickle", "copy")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "pickle:bo.pickle can't be copied" in refused.stderr


def test_studies_move_between_backends_of_any_kind(backend: ModuleType, tmp_path: Path) -> None:
    from bo_service.storage.transfer import export_study, import_study

    class Trusting:
        study = staticmethod(lambda study: study)
        trial = staticmethod(lambda study, trial, curve, leases: trial)

    register("pickle", backend.PickleBackend())
    source, target = open_store("memory:"), open_store(f"pickle:{tmp_path}/bo.pickle")
    with source.write("s") as work:
        work.save_study(STUDY)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with source.read() as work:
        lines = list(export_study(work, "s", now))
    assert import_study(target, lines, None, now, Trusting()) == STUDY


def test_an_address_that_no_backend_has_is_refused() -> None:
    for address in ("mysql://me:secret@host/db", "bo.db", "memory:x", "sqlite:bo.db"):
        with pytest.raises(StartupError, match=r"^--storage: ") as refusal:
            open_store(address)
        assert "secret" not in refusal.value.message
