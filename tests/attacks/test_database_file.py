"""One server has a database's file, whatever name it is opened by, and its owner alone can read it."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bo_client
import pytest

from bo_service.storage.sqlite import SqliteStore
from tests.attacks.conftest import SPACE
from tests.e2e.conftest import ServerProcess
from tests.storage.test_sqlite import STUDY

NOBODY = 65534


def run(*arguments: object, folder: Path | None = None, **settings: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bo_service.cli.main", *map(str, arguments)]
    found = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **os.environ}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=folder, env=found, **settings)


def start(storage: object, **settings: Any) -> "subprocess.CompletedProcess[str]":
    return run("serve", "--listen", "127.0.0.1:0", "--storage", f"sqlite:///{storage}", **settings)


@pytest.fixture
def mounted_again(server_process: ServerProcess, tmp_path: Path) -> Iterator[Path | None]:
    """The database's folder by another path; None where nothing may be mounted."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    bound = subprocess.run(["mount", "--bind", server_process.storage.parent, folder], capture_output=True)
    yield None if bound.returncode else folder
    if not bound.returncode:
        subprocess.run(["umount", folder], check=True)


def test_a_second_server_is_refused_by_whatever_name_it_opens_the_file(
    server_process: ServerProcess, tmp_path: Path, mounted_again: Path | None
) -> None:
    file = server_process.storage
    (tmp_path / "symbolic.db").symlink_to(file)
    (tmp_path / "folder").symlink_to(file.parent)
    os.link(file, tmp_path / "hard.db")
    (tmp_path / "backup.db").write_bytes(file.read_bytes())
    names: list[object] = [tmp_path / "symbolic.db", tmp_path / "hard.db", tmp_path / "folder" / "bo.db"]
    if mounted_again is not None:
        names.append(mounted_again / "bo.db")
    with ThreadPoolExecutor(4) as pool:
        for done in pool.map(start, names):
            assert done.returncode == 1
            assert "another server has" in done.stderr
        file.with_name(f"{file.name}.lock").unlink()
        others = [
            pool.submit(start, file.name, folder=file.parent),
            pool.submit(run, "token", "create", "--role", "admin", "--storage", f"sqlite:///{file}"),
            pool.submit(run, "restore", "--replace", "--storage", f"sqlite:///{file}", tmp_path / "hard.db"),
        ]
        for other in others:
            assert other.result().returncode == 1
            assert "server has" in other.result().stderr
    with bo_client.connect(server_process.address, patience=0.0) as client:  # the first is none the worse
        client.create_study("s", SPACE, "loss", goal="minimize")


OPEN = "import pathlib, sys; from bo_service.storage.sqlite import SqliteStore as S; S(pathlib.Path(sys.argv[1]))"


def as_nobody(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", sys.executable]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_another_user_is_refused() -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv") or as_nobody("-c", "import bo_service").returncode:
        pytest.skip("only root may become somebody else, who must be able to read the program")
    folder = Path(tempfile.mkdtemp())
    try:
        store = SqliteStore(folder / "bo.db")
        for folder_mode, mode, hint in (
            (0o777, 0o666, "another server has"),
            (0o755, 0o666, "another server has"),
            (0o755, 0o644, "another server has"),
            (0o755, 0o600, "Permission denied"),
        ):
            folder.chmod(folder_mode)
            (folder / "bo.db").chmod(mode)
            done = as_nobody("-c", OPEN, folder / "bo.db")
            assert done.returncode == 1
            assert hint in done.stderr.splitlines()[-1]
        store.close()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("umask", [0, 0o777])
def test_files_are_for_their_owner_alone(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    before = os.umask(umask)
    try:
        store = SqliteStore(folder / "bo.db")
    finally:
        os.umask(before)
    with store.write() as records:
        records.save_study(STUDY)
    for command in (("backup",), ("export-study", "s")):
        source = folder / "bo.db" if command == ("backup",) else tmp_path / "backup.db"
        target = tmp_path / f"{command[0]}.db"
        done = run(*command, "--storage", f"sqlite:///{source}", target, umask=umask)
        assert done.returncode == 0, done.stderr
    kept = [*folder.glob("bo.db*"), *tmp_path.glob("*.db*")]
    assert len(kept) >= 5  # the database, its log and shared memory, the backup, the export
    assert {stat.filemode(one.stat().st_mode) for one in kept} == {"-rw-------"}
    store.close()
