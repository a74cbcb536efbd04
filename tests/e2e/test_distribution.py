"""The distribution as a user has it: built, looked into, installed into a fresh environment, run elsewhere."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("distribution")]


def run(*command: object, folder: Path) -> str:
    """What it prints; it must succeed. It finds nothing of this checkout."""
    hidden = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=hidden, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def programs(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel and what its extra `server` brings."""
    return installed(built, tmp_path_factory.mktemp("installed") / "venv", "[server]")


def installed(built: Path, venv: Path, extras: str) -> Path:
    """The folder of programs of a new environment with the wheel."""
    run(sys.executable, "-m", "venv", venv, folder=built)
    (wheel,) = built.glob("*.whl")
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(venv / "bin" / "python", *pip, f"bo-service{extras} @ {wheel.as_uri()}", folder=built)
    return venv / "bin"


def tracked(*folders: str) -> set[str]:
    return set(run("git", "ls-files", *folders, folder=ROOT).split())


def test_the_wheel_holds_all_that_is_imported_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = tracked("bo_service", "proto/bo_api", "proto/katib_api", "objectives", "clients/python")
    expected = {re.sub(r"^(proto|objectives|clients/python)/", "", name) for name in shipped}
    assert {name for name in names if ".dist-info/" not in name} == expected
    for package in ("bo_service", "bo_api", "bo_objectives", "bo_worker", "bo_client", "bo_dashboard"):
        assert f"{package}/py.typed" in names
    assert "bo_api/v1/optimization_service.proto" in names
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert [name for name in names if "/migrations/" in name]
    assert [name for name in names if name.endswith("emoji.zip")]


def test_the_source_distribution_holds_what_the_wheel_is_made_of(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names}
    assert {"bo_service", "clients", "objectives", "proto"} <= tops
    assert {"LICENSE", "README.md", "CHANGELOG.md", "hatch_build.py", "pyproject.toml"} <= tops
    assert not tops & {"tests", "benchmarks", "docs", "deploy", "scripts"}
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name]


def test_a_registry_would_take_the_metadata(built: Path) -> None:
    """As registries check it: valid fields, one version, and a description that is Markdown."""
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        of_wheel = Metadata.from_email(archive.read(name))
    with tarfile.open(sdist) as archive:
        (member,) = [m for m in archive.getmembers() if m.name.count("/") == 1 and m.name.endswith("/PKG-INFO")]
        content = archive.extractfile(member)
        assert content is not None
        of_sdist = Metadata.from_email(content.read())
    for metadata in (of_wheel, of_sdist):  # `from_email` refuses what is invalid
        assert (metadata.name, metadata.description_content_type) == ("bo-service", "text/markdown")
        assert metadata.summary
        assert len(metadata.summary) <= 512
        assert metadata.license_files
        assert metadata.description
        assert not re.search(r"\]\((?!https?://|#)", metadata.description)  # relative links lead nowhere there
    assert wheel.name == f"bo_service-{of_wheel.version}-py3-none-any.whl"
    assert of_sdist.version == of_wheel.version


def test_without_extras_it_is_the_client_and_says_what_else_to_install(built: Path, tmp_path: Path) -> None:
    alone = installed(built, tmp_path / "alone", "")
    assert "Create a study" in run(alone / "bo", "study", "--help", folder=tmp_path)
    assert "branin" in run(alone / "bo-worker", "objectives", folder=tmp_path)
    assert "serve" in run(alone / "bo-service", "--help", folder=tmp_path)
    run(alone / "python", "-c", "import bo_client, bo_client.specfile, bo_client.report", folder=tmp_path)
    for command, extra in (
        (("bo-service", "serve"), "server"),
        (("bo", "dashboard"), "dashboard"),
        (("python", "-c", "import bo_client; bo_client.local('memory:')"), "server"),
    ):
        words = [str(alone / command[0]), *command[1:]]
        done = subprocess.run(words, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
        assert done.returncode == 1
        assert re.search(rf"pip install ['\"]bo-service\[{extra}\]", done.stderr), done.stderr


def test_server_worker_and_client_run_from_another_folder(programs: Path, tmp_path: Path) -> None:
    where = run(programs / "python", "-c", "import bo_service; print(bo_service.__file__)", folder=tmp_path)
    assert where.startswith(str(programs.parent))
    command = [programs / "bo-service", "serve", "--storage", "sqlite:///bo.db", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[2]
        try:
            run(programs / "bo-service", "health", "--server", address, folder=tmp_path)
            worker = ("run", "--server", address, "--study", "s", "--objective", "branin", "--max-trials", "6")
            run(programs / "bo-worker", *worker, folder=tmp_path)
            shown = run(programs / "bo", "--server", address, "show", "s", folder=tmp_path)
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=280) == 0
    assert "succeeded" in shown
    assert (tmp_path / "bo.db").exists()
    run(programs / "python", "-m", "pip", "check", folder=tmp_path)
