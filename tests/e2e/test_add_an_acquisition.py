"""docs/add-an-acquisition.md, done in a copy of the server: one file, and one value in the contract."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from tests.e2e.conftest import ServerProcess
from tests.e2e.snippets import FILE_NAME, ROOT, snippets

PAGE = "docs/add-an-acquisition.md"
SNIPPETS = snippets(PAGE)
(CLASS,) = (s.text for s in SNIPPETS if FILE_NAME.match(s.text))
(PROTO,) = (s.text for s in SNIPPETS if s.language == "proto")
(DOMAIN,) = (s.text for s in SNIPPETS if "class Acquisition(Enum)" in s.text)
(PROGRAM,) = (s.text for s in SNIPPETS if "bo_client.connect" in s.text)


def add(file: Path, after: str, lines: str) -> None:
    """Add the lines at the end of what begins with `after`, up to a blank line or a brace."""
    head, found, tail = file.read_text().partition(after)
    assert found
    end = re.search(r"^}|\n\n", tail, re.MULTILINE)
    assert end
    file.write_text(f"{head}{found}{tail[: end.start()].rstrip()}\n{lines}{tail[end.start() :]}")


def generate(proto: Path) -> None:
    """Put the changed enum into the generated module, as the compiler would."""
    command = ["buf", "build", str(proto), "--exclude-source-info", "--as-file-descriptor-set", "--output", "-"]
    made = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    files = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(made).file}
    module = proto / "bo_api" / "v1" / "study_pb2.py"
    text, count = re.subn(
        r"AddSerializedFile\(b'.*'\)$",
        lambda _: f"AddSerializedFile({files['bo_api/v1/study.proto'].SerializeToString()!r})",
        module.read_text(),
        flags=re.MULTILINE,
    )
    assert count == 1
    module.write_text(text)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The server and the contract, changed as the page says."""
    folder = tmp_path / "copy"
    for package in ("bo_service", "proto"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    file = FILE_NAME.match(CLASS)
    assert file
    (folder / file[1]).write_text(CLASS)
    add(folder / "proto/bo_api/v1/study.proto", "enum Acquisition {\n", "".join(PROTO.splitlines(True)[1:-1]))
    add(folder / "bo_service/domain/study.py", "class Acquisition(Enum):\n", "".join(DOMAIN.splitlines(True)[1:]))
    generate(folder / "proto")
    return folder


def test_the_page_done(
    copied: Path, make_server: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied)  # `python -m` looks there first
    monkeypatch.setenv("PYTHONPATH", f"{copied}:{copied / 'proto'}")
    server = make_server()
    address = server.start()
    server.await_optimizer()
    (copied / "program.py").write_text(PROGRAM.replace("127.0.0.1:50051", address))
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=200)
    assert (done.stderr, done.stdout, done.returncode) == ("", "mean\n", 0)


def test_a_value_without_a_class_is_refused_and_the_others_are_named(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FILE_NAME.match(CLASS)
    assert file
    (copied / file[1]).unlink()
    code = "from bo_service.optimizer.acquisition.registry import find_acquisition; find_acquisition('mean')"
    done = subprocess.run([sys.executable, "-c", code], cwd=copied, capture_output=True, text=True, timeout=200)
    assert "LookupError: there is no acquisition function 'mean'" in done.stderr
