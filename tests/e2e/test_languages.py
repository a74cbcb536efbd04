"""The contract in other languages: code is generated as docs/languages.md says, and its example programs run against a
real server; `test_snippets.py` runs its Python and shell. What a machine has no compiler for is skipped."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bo_client
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
GO_SOURCES = Path("/usr/share/gocode")
JARS = Path("/usr/share/java")


def run(*command: object, folder: Path, timeout: float = 280, **environment: str) -> str:
    """What it prints; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def needs(*programs: str) -> None:
    """Skips the test where a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"there is no {', no '.join(missing)} on this machine")


def generated(folder: Path, *languages: str, without: Sequence[str] = (), **environment: str) -> None:
    """The code of some languages, by the template that users take."""
    lines = (ROOT / "proto" / "buf.gen.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "out: " not in line or any(f"out: {name}" in line for name in languages)]
    kept = [line for line in kept if not any(plugin in line for plugin in without)]
    assert len(kept) < len(lines)
    (folder / "buf.gen.yaml").write_text("".join(kept))
    run("buf", "generate", ROOT / "proto", "--template", "buf.gen.yaml", "--output", ".", folder=folder, **environment)


def succeeded(server: str, study: str) -> list[float]:
    """The learning curve of the one trial that a program has run."""
    with bo_client.connect(server) as client:
        (trial,) = client.study(study).trials(["SUCCEEDED"], full=True)
    lr = trial.parameters["lr"]
    assert trial.final_measurement is not None
    assert trial.final_measurement.metrics["loss"] == lr
    return [measurement.metrics["loss"] - lr for measurement in trial.measurements]


CURVE = pytest.approx([1, 1 / 2, 1 / 3])


def test_the_contract_builds_into_one_file_for_any_generator(tmp_path: Path) -> None:
    run("buf", "build", ROOT / "proto", "--output", "bo_api.binpb", folder=tmp_path)
    assert b"bo_api/v1/optimization_service.proto" in (tmp_path / "bo_api.binpb").read_bytes()


def test_every_file_that_the_page_links_to_exists() -> None:
    page = (ROOT / "docs" / "languages.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    assert len(links) > 5
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cpp(server: str, tmp_path: Path) -> None:
    needs("protoc", "grpc_cpp_plugin", "g++", "pkg-config")
    generated(tmp_path, "cpp")
    flags = run("pkg-config", "--cflags", "--libs", "grpc++", "protobuf", folder=tmp_path).split()
    names = ("study", "trial", "space", "insight", "optimization_service")
    sources = [f"cpp/bo_api/v1/{name}.pb.cc" for name in names] + ["cpp/bo_api/v1/optimization_service.grpc.pb.cc"]
    run(
        *("g++", "-std=c++17", "-O0", "-I", "cpp", "-o", "study", EXAMPLES / "cpp" / "study.cc"),
        *(*sources, *flags),
        folder=tmp_path,
        timeout=800,
    )
    assert run("./study", server, folder=tmp_path).startswith("TRIAL_STATE_SUCCEEDED")
    assert succeeded(server, "from-cpp") == CURVE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_go_with_the_libraries_of_debian(server: str, tmp_path: Path) -> None:
    needs("go", "protoc-gen-go", "protoc-gen-go-grpc")
    if not (GO_SOURCES / "src" / "google.golang.org" / "grpc").exists():
        pytest.skip("there is no golang-google-grpc-dev on this machine")
    generated(tmp_path, "go")
    home = tmp_path / "gopath" / "src" / "example.com" / "bo"
    shutil.copytree(tmp_path / "go", home)
    shutil.copytree(EXAMPLES / "go", home / "study")
    run(
        *("go", "build", "-o", tmp_path / "study", "."),
        folder=home / "study",
        timeout=800,
        GO111MODULE="off",
        GOPATH=f"{tmp_path / 'gopath'}{os.pathsep}{GO_SOURCES}",
        GOCACHE=str(tmp_path / "cache"),
        GOFLAGS="-p=1",
    )
    assert run("./study", server, folder=tmp_path).startswith("TRIAL_STATE_SUCCEEDED")
    assert succeeded(server, "from-go") == CURVE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_java_with_the_libraries_of_debian(server: str, tmp_path: Path) -> None:
    needs("java", "javac", "protoc", "grpc_java_plugin")
    if not list(JARS.glob("grpc-core*.jar")):
        pytest.skip("there is no libgrpc-java on this machine")
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "protoc-gen-grpc-java").symlink_to(str(shutil.which("grpc_java_plugin")))  # Debian's name for it
    path = os.pathsep.join(map(str, (Path(sys.executable).parent, plugins, os.environ["PATH"])))
    generated(tmp_path, "java", PATH=path)
    jars = ":".join(map(str, JARS.glob("*.jar")))
    sources = [*(tmp_path / "java").rglob("*.java"), EXAMPLES / "java" / "RunTrial.java"]
    run("javac", "-nowarn", "-cp", jars, "-d", "classes", *sources, folder=tmp_path, timeout=800)
    assert run("java", "-cp", f"classes:{jars}", "RunTrial", server, folder=tmp_path).startswith(
        "TRIAL_STATE_SUCCEEDED"
    )
    assert succeeded(server, "from-java") == CURVE


@pytest.mark.slow
def test_csharp_messages_are_generated(tmp_path: Path) -> None:
    """Debian has no plugin for its services: that one comes with NuGet's Grpc.Tools."""
    needs("protoc")
    generated(tmp_path, "csharp", without=() if shutil.which("grpc_csharp_plugin") else ("grpc_csharp_plugin",))
    made = (tmp_path / "csharp" / "OptimizationService.cs").read_text()
    assert "namespace BoApi.V1" in made
    assert "class SuggestTrialsRequest" in made
