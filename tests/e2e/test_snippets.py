"""Every snippet of the README and of docs/ is run, page by page, beside a real server; or it is listed with a reason.

How a page is read is told in `snippets.py`.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import pytest

from tests.e2e.snippets import ROOT, SERVE, Reader, Servers, Snippet, pages, snippets, unknown

NOT_RUN = {
    ("README.md", "scripts/demo"): "test_demo.py runs the one, and the other runs this",
    ("docs/dashboard.md", 'pip install "bo-service[dashboard]"'): "serves until it is ended; tests/e2e/dashboard",
    ("docs/efficientnet.md", "bo-worker run … --parallel 4 --gpus auto"): "needs several GPUs",
    ("docs/fleet.md", "bo --server bo.example:50051"): "the same as in security.md, where it is run",
    ("docs/fleet.md", 'pip install "bo-service[ray'): "needs a cluster with GPUs; test_ray.py has one of one machine",
    ("docs/fleet.md", "docker build"): "needs Kubernetes and a registry; tests/deploy checks chart and images' files",
    ("docs/fleet.md", "export BO_SERVER"): "needs Slurm; tests/deploy runs the script in a shell",
    ("docs/fleet.md", "ssh gpu7"): "needs another machine",
    ("docs/katib.md", "docker build"): "as in fleet.md; tests/katib checks what the image starts",
    ("docs/katib.md", "earlyStopping:"): "part of an experiment; tests/katib/test_early_stopping.py",
    ("docs/katib.md", "kubectl -n kubeflow"): "needs Kubernetes with Katib; tests/katib checks the files",
    (
        "docs/languages.md",
        "$ grpcurl",
    ): "a program in Go that no registry of Python brings; buf curl makes the same calls",
    ("docs/languages.md", "$ buf generate"): "test_languages.py generates by this template",
    ("docs/languages.md", "$ go run"): "test_languages.py builds and runs it, where there is a compiler",
    ("docs/languages.md", "$ g++"): "test_languages.py builds and runs it, where there is a compiler",
    ("docs/languages.md", "<Protobuf"): "needs .NET",
    ("docs/languages.md", "fn main"): "needs Rust",
    ("docs/languages.md", "pub mod bo"): "needs Rust",
    ("docs/efficientnet.md", "bo-worker run --study tags"): "the reader's own photos.csv; test_tasks.py trains both",
    ("docs/operations.md", "bo-service serve --storage sqlite:////var"): "in a folder of root's; test_operations.py",
    ("docs/operations.md", '{"time"'): "what is logged, not a file; the test below reads it",
    ("docs/security.md", "scripts/lock --upgrade"): "needs an image registry and hours; tests/supply runs the parts",
    ("docs/storage.md", "createuser"): "asks for a password; the tests have a database",
}
"""What can't be run here: page and beginning, and why."""

STOPPED = (("docs/storage.md", "bo-service restore"), ("docs/storage.md", "pg_restore"))
"""What a page does while no server runs."""

SHORTER = {
    "README.md": {"data=emoji --max-trials 30": "data=emoji --option epochs=1 --option image_size=32 --max-trials 2"},
    "docs/efficientnet.md": {"data=flowers/": "data=emoji --option epochs=1", "--max-trials 30": "--max-trials 2"},
    "docs/several-objectives.md": {"max_trials: 30": "max_trials: 4", "max_trials=20": "max_trials=6"},
}
"""Trainings are cut short; flowers/ is the reader's own folder."""

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-5, 1e-1, scale="log"),
        bo_client.FloatParameter("learning_rate", 1e-5, 1e-1, scale="log"),
        bo_client.FloatParameter("dropout", 0.0, 0.5),
        bo_client.IntParameter("layers", 1, 4),
    ]
)
SUPPOSED = {
    "docs/explanations.md": {"digits": 40},
    "docs/reports.md": {"flowers": 12},
    "docs/storage.md": {"first": 3},
    "docs/warm-start.md": {"flowers": 4},
}
"""Studies that a page supposes the reader has, with so many results."""

MARKS = {
    "README.md": [pytest.mark.keras],
    "docs/efficientnet.md": [pytest.mark.keras, pytest.mark.slow, pytest.mark.timeout(900)],
    "docs/explanations.md": [pytest.mark.slow],
    "docs/own-objective.md": [pytest.mark.slow],
    "docs/several-objectives.md": [pytest.mark.slow],
}


def is_at(snippet: Snippet, places: object) -> bool:
    """Whether it is one of those named by page and beginning."""
    assert hasattr(places, "__iter__")
    return any(snippet.page == page and snippet.text.startswith(beginning) for page, beginning in places)


def read(page: str) -> list[Snippet]:
    """The snippets of a page that are run."""
    return [snippet for snippet in snippets(page) if not is_at(snippet, NOT_RUN)]


@pytest.fixture
def reader(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    servers = Servers(tmp_path)
    for name in ("BO_SERVER", "BO_TOKEN", "BO_TOKEN_FILE", "BO_CA", "BO_SERVICE_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    yield Reader(tmp_path, servers, server, monkeypatch)
    servers.stop()


def follow(reader: Reader, page: str) -> str:
    """Reads the page from top to bottom; what its programs print."""
    reader.replaced = {**reader.replaced, **SHORTER.get(page, {})}
    if any("bo-service" in snippet.text or SERVE.search(snippet.text) for snippet in read(page)):
        reader.default_server = ""  # its commands are about the server's database
    suppose(reader, SUPPOSED.get(page, {}))
    told = ""
    for snippet in read(page):
        if is_at(snippet, STOPPED):
            reader.servers.stop()
        told += reader.read(snippet)
    return told


def suppose(reader: Reader, studies: dict[str, int]) -> None:
    """Makes the studies on the page's server."""
    for study_id, results in studies.items():
        with bo_client.connect(reader.addressed("127.0.0.1:50051")) as client:
            study = client.create_study(study_id, SPACE, "loss", goal="minimize", max_trials=results, seed=0)
            study.optimize(lambda p: abs(p["learning_rate"] - 0.01) + p["dropout"] + p["layers"])


RUN_BY = {
    "docs/add-a-backend.md": ("tests/storage/test_add_a_backend.py", {"python", "toml"}),
    "docs/add-an-acquisition.md": ("tests/e2e/test_add_an_acquisition.py", {"proto", "python"}),
    "docs/add-an-algorithm.md": ("tests/e2e/test_add_an_algorithm.py", {"bash", "python", "toml"}),
    "docs/integrations.md": ("tests/e2e/integrations/test_page.py", {"bash", "python"}),
}
"""Pages whose snippets, of these languages, a test of their own runs."""

OWN_TESTS = ("README.md", "docs/http.md", "docs/languages.md", "docs/reports.md", "docs/storage.md")
"""Pages with more to be seen than that they run."""
PLAIN = [page for page in pages() if page not in (*OWN_TESTS, *RUN_BY) and read(page)]


@pytest.mark.parametrize("page", [pytest.param(page, marks=MARKS.get(page, [])) for page in PLAIN])
def test_the_page_runs_from_top_to_bottom(page: str, reader: Reader) -> None:
    follow(reader, page)


@pytest.mark.parametrize(
    ("page", "study", "trials"),
    [("README.md", "first", 10), ("docs/index.md", "five-minutes", 12)],
    ids=["readme", "index"],
)
def test_the_first_program_goes_on_when_it_is_run_again(reader: Reader, page: str, study: str, trials: int) -> None:
    (program,) = (s for s in read(page) if s.language == "python" and "bo_client.connect" in s.text)
    for runs in (1, 2):
        reader.read(program)
        with bo_client.connect(reader.address) as client:
            states = [trial.state for trial in client.study(study).trials()]
        assert states == [bo_client.TrialState.SUCCEEDED] * trials * runs


def test_the_readmes_first_program_needs_no_server_and_goes_on_when_it_is_run_again(reader: Reader) -> None:
    program = next(snippet for snippet in read("README.md") if snippet.language == "python")
    for runs in (1, 2):
        reader.read(program)
        with bo_client.local() as client:
            assert len(client.study("minute").trials()) == 12 * runs
    assert reader.address == ""


@pytest.mark.keras
def test_the_readme_runs_from_top_to_bottom(reader: Reader, tmp_path: Path) -> None:
    follow(reader, "README.md")
    assert (tmp_path / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "first.csv").read_text().splitlines()) > 10


def test_the_page_on_languages_runs_from_top_to_bottom(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    told = follow(reader, "docs/languages.md")
    assert "count" in capsys.readouterr().out  # the refusal names the field
    assert "bo_api.v1.OptimizationService/WatchStudy" in told
    with bo_client.connect(reader.address) as client:
        (python,), (shell,) = (client.study(f"from-{name}").trials(["SUCCEEDED"]) for name in ("python", "shell"))
    assert shell.final_measurement.metrics == {"loss": 0.3}
    assert python.final_measurement.metrics == {"loss": python.parameters["lr"]}


def test_the_page_on_http_runs_from_top_to_bottom(reader: Reader) -> None:
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "there is no curl"
        pytest.skip("there is no curl on this machine")
    told = follow(reader, "docs/http.md")
    assert "there is no study studies/none" in told
    assert "NOT_FOUND\n" in told
    assert '"role": "ROLE_ADMIN"' in told
    assert 'data: {"study":{"id":"curl"' in told
    with bo_client.connect(reader.address) as client:
        best = client.study("curl").best()
        assert best.value("loss") == 0.5
        assert client.study("curl").trial(best.number).measurements[0].metrics == {"loss": 0.7}


@pytest.mark.slow
def test_the_page_on_reports_runs_from_top_to_bottom(reader: Reader, tmp_path: Path) -> None:
    follow(reader, "docs/reports.md")
    assert {path.name for path in tmp_path.iterdir()} >= {"flowers.html", "best.png", "parallel.svg", "contour.pdf"}
    assert json.loads(reader.names["data_and_layout"])["data"]


@pytest.mark.slow
def test_the_page_on_storage_runs_over_postgresql(
    reader: Reader, make_database: Callable[[], str], postgres_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database()
    monkeypatch.setenv("PATH", str(postgres_programs), prepend=":")
    reader.replaced = {
        "postgresql://bo:PASSWORD@db.example.org/bo": f"'{database}'",
        "postgresql://bo@db.example.org/bo": f"'{database}'",
    }
    follow(reader, "docs/storage.md")


def test_every_snippet_is_run_or_listed() -> None:
    """Whatever isn't listed must be of a language that can be run, or a file."""
    for page in pages():
        for snippet in () if page in RUN_BY else read(page):
            assert snippet.language in ("bash", "python", "yaml", "json"), f"{snippet}: run it, or list it"
    assert len([snippet for page in pages() for snippet in read(page)]) > 40


def test_whatever_is_listed_is_still_there() -> None:
    everything = [snippet for page in pages() for snippet in snippets(page)]
    for place in [*NOT_RUN, *STOPPED]:
        assert len([snippet for snippet in everything if is_at(snippet, [place])]) == 1, place
    for page, replaced in SHORTER.items():
        assert [old for old in replaced if old not in (ROOT / page).read_text()] == []
    for page, (test, languages) in RUN_BY.items():
        assert Path(page).name in (ROOT / test).read_text()
        assert {snippet.language for snippet in snippets(page)} == languages
    assert {*SHORTER, *SUPPOSED, *MARKS, *OWN_TESTS} <= set(pages())


def test_extras_commands_and_options_exist() -> None:
    """Also in snippets that aren't run."""
    assert [reason for page in pages() for snippet in snippets(page) for reason in unknown(snippet)] == []
    wrong = Snippet(
        "x.md", 1, "bash", "pip install bo-service[none]\nbo --tls explode s\nX=1 bo-worker run --speed 9\n"
    )
    assert len(list(unknown(wrong))) == 3


def test_the_log_line_that_is_shown_has_the_fields_of_a_real_one(reader: Reader, tmp_path: Path) -> None:
    (shown,) = (snippet for snippet in snippets("docs/operations.md") if snippet.language == "json")
    address = reader.servers.serve("--log-format", "json")
    with bo_client.connect(address) as client:
        client.create_study("vision-1", SPACE, "loss", goal="minimize").suggest()
    reader.servers.stop()
    lines = [json.loads(line) for line in (tmp_path / "server-0.log").read_text().splitlines()]
    (real,) = (line for line in lines if line.get("method") == "SuggestTrials")
    assert set(json.loads(shown.text)) - set(real) <= {"trace_id", "principal"}  # which this server has none of
