"""The Node.js client: its own tests, its types and its example, against real servers. What it needs is installed once,
into `clients/node/node_modules`."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import bo_client
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "node"
PROGRAMS = ("node", "npm")

pytestmark = pytest.mark.xdist_group("node")


def run(*command: str, folder: Path = PACKAGE, **environment: str) -> str:
    """What it prints; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def package() -> Path:
    """The package's folder with what it needs. Without Node.js the test is skipped, not where every test must run."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        reason = f"there is no {' and no '.join(missing)} on this machine; scripts/node installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    lock, made = PACKAGE / "package-lock.json", PACKAGE / "node_modules" / ".package-lock.json"
    if not made.exists() or made.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return PACKAGE


def test_its_own_tests_pass(package: Path, make_server, authority, tmp_path: Path) -> None:
    open_server = make_server("--auth", "none")
    open_server.start()
    certificate, key = authority.sign("server")
    secure = make_server("--processes", "1", "--tls-cert", str(certificate), "--tls-key", str(key))
    secure.url = f"sqlite:///{tmp_path}/secure.db"
    token = ("token", "create", "--storage", secure.url, "--role", "reader")
    (tmp_path / "token").write_text(run(sys.executable, "-m", "bo_service.cli.main", *token))
    environment = {
        "BO_SERVER": open_server.address,
        "BO_SECURE_SERVER": secure.start(),
        "BO_SECURE_CA": str(authority.file),
        "BO_SECURE_TOKEN_FILE": str(tmp_path / "token"),
    }
    told = run("node", "--test", "--test-reporter=tap", **environment)
    assert "\n# fail 0\n" in told
    assert "\n# skipped 0\n" in told
    passed = next(int(line.split()[-1]) for line in told.splitlines() if line.startswith("# pass "))
    assert passed >= 15


def test_its_types_are_right(package: Path) -> None:
    run("node_modules/.bin/tsc", "--noEmit")


@pytest.mark.slow
def test_what_is_packed_runs_elsewhere_with_types(package: Path, server: str, tmp_path: Path) -> None:
    """As a user has it: the contract's files and the types are in the package."""
    (packed,) = json.loads(run("npm", "pack", "--json", "--pack-destination", str(tmp_path)))
    names = {file["path"] for file in packed["files"]}
    assert {"proto/bo_api/v1/optimization_service.proto", "types/index.d.ts", "lib/status.proto", "README.md"} <= names
    assert not [name for name in names if name.endswith(".py") or name.startswith("test/")]
    home = tmp_path / "node_modules" / "bo-service-client"
    with tarfile.open(tmp_path / packed["filename"]) as archive:
        archive.extractall(tmp_path, filter="data")
    home.parent.mkdir()
    (tmp_path / "package").rename(home)
    for needed in (package / "node_modules").iterdir():
        if not needed.name.startswith("."):
            (tmp_path / "node_modules" / needed.name).symlink_to(needed)
    (tmp_path / "user.mts").write_text(
        "import { connect, float, minimize, type RunningTrial } from 'bo-service-client'\n"
        f"const client = connect('{server}')\n"
        "const study = await client.createStudy('typed', {"
        " parameters: [float('x', 0, 1)], metrics: [minimize('loss')] })\n"
        "const trial: RunningTrial | undefined = (await study.suggest()).trials[0]\n"
        "const ended = await trial!.complete({ loss: 0.5 })\n"
        "const state: string = ended.state\n"
        "console.log(state)\n"
        "client.close()\n"
    )
    compiler = str(package / "node_modules" / ".bin" / "tsc")
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "user.mts"]
    run(compiler, *options, folder=tmp_path)
    assert run("node", "user.mjs", folder=tmp_path).strip() == "SUCCEEDED"


def test_the_example_and_the_readme_run(package: Path, server: str, tmp_path: Path) -> None:
    assert "loss" in run("node", "examples/study.js", server)
    with bo_client.connect(server) as client:
        counts = client.study("node-example").info().counts
    assert counts == {**counts, bo_client.TrialState.SUCCEEDED: 12}
    snippets = (package / "README.md").read_text().split("```js\n")[1:]
    assert snippets
    program = "\n".join(snippet.partition("```")[0] for snippet in snippets)
    file = package / "examples" / ".readme.mjs"
    file.write_text(program.replace("bo-service-client", "../lib/index.js"))
    try:
        run("node", str(file), BO_SERVER=server)
    finally:
        file.unlink()


def test_the_lock_names_no_host() -> None:
    lock = json.loads((PACKAGE / "package-lock.json").read_text())
    assert len(lock["packages"]) > 10
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
