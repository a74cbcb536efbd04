"""The container file, the compose file and the systemd unit."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from requirements import locks

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "container"
DOCKERFILE = CONTAINER / "Dockerfile"
UNIT = ROOT / "deploy" / "systemd" / "bo-service.service"


def instructions() -> list[list[str]]:
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def stage(name: str) -> list[list[str]]:
    """Its instructions, and those of the stages it builds on."""
    found: list[list[str]] = []
    is_inside, parent = False, ""
    for instruction in instructions():
        if instruction[0] == "FROM":
            is_inside = instruction[-1] == name
            parent = instruction[1] if is_inside else parent
        elif is_inside:
            found.append(instruction)
    return found + (stage(parent) if parent and "$" not in parent else [])


def compose() -> dict:
    return yaml.safe_load((CONTAINER / "compose.yaml").read_text())


def test_hadolint_finds_nothing_to_say() -> None:
    program = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs the extra deploy")
    done = subprocess.run([program, "--failure-threshold", "style", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["server", "worker"])
def test_an_image_is_no_root_and_has_no_build_tools(name: str) -> None:
    found = stage(name)
    assert ["USER", "10001:10001"] in found
    assert not [i for i in found if i[0] == "RUN" and {"apt-get", "pip", "gcc"} & set(re.split(r"[\s/]", " ".join(i)))]
    assert [i[1] for i in found if i[0] == "COPY"] == [f"--from={name}-build"]


def test_the_bases_are_named_by_digest_and_the_versions_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stages = {i[-1] for i in instructions() if i[0] == "FROM"}
    assert {i[1] for i in instructions() if i[0] == "FROM"} - stages == {"${PYTHON}"}
    assert re.fullmatch(r"python:3\.12-slim-bookworm@sha256:[0-9a-f]{64}", argument("PYTHON"))
    assert f'org.opencontainers.image.version="{project["version"]}"' in DOCKERFILE.read_text()
    chart = yaml.safe_load((ROOT / "deploy/helm/bo-service/Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]


def argument(name: str) -> str:
    (found,) = [i[1].partition("=")[2] for i in instructions() if i[0] == "ARG" and i[1].startswith(f"{name}=")]
    return found


def test_everything_that_is_installed_has_a_hash_or_is_ours() -> None:
    commands = [" ".join(i) for i in instructions() if i[0] == "RUN"]
    fetching = [c for command in commands for c in command.split("&&") if re.search(r"\b(pip|apt-get|curl|wget)\b ", c)]
    assert len(fetching) >= 5
    for command in fetching:
        is_ours = {"--no-deps", "--no-index"} <= set(command.split()) or "--no-build-isolation" in command
        if "-m venv" not in command and not is_ours:
            assert "--require-hashes" in command
            (lock,) = re.findall(r"requirements/(\S+)\.txt", command)
            assert lock.replace("${KERAS}", argument("KERAS")) in locks.wanted()
    args = compose()["services"]["worker"]["build"]["args"]
    assert args["KERAS"] in locks.wanted()


def test_what_is_copied_is_there_is_not_ignored_and_holds_all_packages() -> None:
    copied = {s for i in instructions() if i[0] == "COPY" and "--from" not in i[1] for s in i[1:-1]}
    kept = {
        line[1:].partition("/")[0]
        for line in (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
        if line[0] == "!"
    }
    assert copied == kept
    assert all((ROOT / path).exists() for path in copied)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {package.partition("/")[0] for package in wheel["packages"]} <= copied


def test_the_composed_commands_are_ours() -> None:
    from bo_worker.cli import main as worker

    from bo_service.cli.main import main as server

    services = compose()["services"]
    for name, program in (("server", server), ("worker", worker)):
        command, *arguments = services[name]["command"]
        assert not program.commands[command].make_context(command, arguments).args
        build = services[name]["build"]
        assert (CONTAINER / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE
        assert stage(build["target"])
    assert services["server"]["deploy"]["replicas"] >= 2
    assert services["worker"]["environment"]["BO_SERVER"] == "server:50051"


def test_what_is_composed_fits_together_and_is_reached_from_this_machine_alone() -> None:
    whole = compose()
    for service in whole["services"].values():
        assert set(service.get("depends_on", ())) <= set(whole["services"])
        assert set(service["networks"]) <= set(whole["networks"])
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(whole["volumes"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_compose_takes_the_file() -> None:
    command = ["docker", "compose", "-f", str(CONTAINER / "compose.yaml"), "config", "--quiet"]
    if shutil.which("docker") is None or subprocess.run([*command[:2], "version"], capture_output=True).returncode:
        pytest.skip("there is no docker compose on this machine")
    done = subprocess.run(command, capture_output=True, text=True, env={"BO_DATABASE_PASSWORD": "x"})
    assert done.returncode == 0, done.stderr


def unit() -> dict[str, str]:
    return dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] not in "#[")


def test_the_unit_starts_the_server_with_options_it_has() -> None:
    from bo_service.cli.main import main

    program, command, *arguments = shlex.split(unit()["ExecStart"])
    assert Path(program).name == "bo-service"
    settings = main.commands[command].make_context(command, arguments).params
    assert settings["listen"].startswith("127.0.0.1:")
    assert int(unit()["TimeoutStopSec"]) > settings["drain_seconds"] + settings["grace_seconds"]


def test_systemd_knows_every_line_and_counts_it_well_locked(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze on this machine")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/bo/bin/bo-service", shutil.which("true") or "/bin/true"))
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    judged = subprocess.run(
        [program, "security", "--offline=true", "--threshold=20", copy], capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stdout
