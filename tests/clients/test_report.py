"""`bo report`: one page that needs nothing else, whatever a study holds."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import bo_client
import pytest
from bo_client import report

EVIL = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)>"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """A page as a browser reads it: its elements, and the texts of scripts and of everything else."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data) -> None:
        if self._inside and self._inside[-1] == "script":
            self.scripts[-1] += data
        elif not self._inside or self._inside[-1] != "style":
            self.text += f"{data} "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def known(seen) -> bo_client.Study:
    """A study with a trial of each kind and three results."""
    seen.add({"lr": 0.1, "norm": "group", "groups": 2}, {"loss": 0.9}, labels={"diagnosis": "overfitting"})
    return seen


@pytest.fixture
def evil(server) -> bo_client.Study:
    """A study in which everything that can be is a piece of HTML."""
    space = bo_client.SearchSpace(
        [
            bo_client.CategoricalParameter("kind", [EVIL, "b"], description=EVIL, unit=EVIL[:20]),
            bo_client.FloatParameter("x", 0, 1),
        ],
        [bo_client.ForbiddenCombination({"kind": "b", "x": 0.5}, description=EVIL)],
    )
    metric = bo_client.Metric("loss", "minimize", unit="<b>")
    study = server.client().create_study("evil", space, [metric], display_name=EVIL, labels={"step": EVIL})
    for i in range(4):
        (trial,) = study.suggest()
        trial.report({"loss": 1.0 + i}, 1)
        trial.complete({"loss": float(i)}, labels={"diagnosis": "<i>", "diagnosis.<i>": EVIL})
    study.suggest()[0].fail("DIVERGED", EVIL)
    return study


GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


def test_notes_and_images_of_the_best_are_on_the_page_and_other_files_are_named(evil) -> None:
    best = evil.best().number
    evil.set_note(best, EVIL)
    evil.add_artifact(best, GIF, name="picture.gif")
    evil.add_artifact(best, EVIL.encode(), name="false.png")
    evil.add_artifact(best, EVIL.encode(), name="page.html")
    evil.add_artifact(best, "javascript://x", name="elsewhere", media_type="image/png")
    page = Page(report.page(evil))
    assert [image["src"] for image in page.all("img")] == [
        f"data:image/gif;base64,{base64.b64encode(GIF).decode()}",
    ]
    for text in ("picture.gif (image/gif, 35 bytes)", "false.png (image/png", "page.html (text/html", "javascript://x"):
        assert text in page.text
    assert f"note by anyone, {evil.trial(best).note.update_time:%Y-%m-%d}" in page.text
    assert page.text.count(EVIL) > 1
    assert not [link for link in page.all("a") if "javascript" in str(link.get("href"))]


def told(text: str) -> dict:
    page = Page(text)
    (at,) = [i for i, attributes in enumerate(page.all("script")) if attributes.get("id") == "figures"]
    return json.loads(page.scripts[at])


def test_the_page_has_all_of_a_study(bo, known, tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    assert bo("report", "s", "-o", file).output == f"{file}\n"
    page = Page(file.read_text())
    drawn = [a["data-figure"] for a in page.all("div") if "data-figure" in a]
    assert [name.split()[0] for name in drawn] == [
        *("convergence", "curves", "parallel", "importance", "slice", "slice", "slice", "contour", "uncertainty"),
    ]
    assert {name: set(themes) for name, themes in told(file.read_text())["figures"].items()} == {
        name: {"light", "dark"} for name in drawn
    }
    for expected in ("Trial 2", "0.75", "DIVERGED: the loss is nan", "textbook-defaults", "overfitting: 1 of 4"):
        assert expected in page.text
    assert known.trial(2).explanation.summary in page.text
    assert known.analyze().best.summary in page.text
    for setting in ("max trials", "0.0001 to 1.0", "norm is group"):
        assert setting in page.text


def test_it_asks_nobody_for_anything(known) -> None:
    text = report.page(known)
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            where = attributes.get(name)
            assert where is None or where.startswith("#") or where == "data:,", (tag, where)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert text.count("plotly.js v") == 1
    config = told(text)["config"]
    assert (config["showSendToCloud"], config["plotlyServerURL"]) == (False, "")


def test_nothing_that_a_user_wrote_is_read_as_html(evil) -> None:
    text = report.page(evil)
    page = Page(text)
    assert not page.all("img")
    assert len(page.scripts) == 3
    assert EVIL in page.text
    assert all(len(told(text)["figures"][name]) == 2 for name in told(text)["figures"])
    plain = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "onerror=alert(1)>" not in plain
    assert "&lt;img src=x onerror" in plain


def test_it_can_be_read_without_eyes(known) -> None:
    page = Page(report.page(known))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
    assert all(a.get("aria-label") for a in page.all("div") if a.get("role"))
    ids = {a["id"] for _, a in page.elements if a.get("id")}
    assert {a["href"][1:] for a in page.all("a")} <= ids
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= ids


def test_a_study_without_trials_has_a_page(study) -> None:
    page = Page(report.page(study))
    assert "no trial has a result yet" in page.text
    assert "There are none yet." in page.text
    assert not [a for a in page.all("div") if "data-figure" in a]


def test_the_page_of_several_objectives(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    metrics = [bo_client.Metric("a", "minimize"), bo_client.Metric("b", "maximize"), bo_client.Metric.at_most("c", 1.0)]
    study = server.client().create_study("several", space, metrics)
    for i in range(4):
        study.add({"x": i / 4}, {"a": float(i), "b": float(i), "c": float(i)})
    text = report.page(study)
    assert "The Pareto set: 2 trials" in Page(text).text
    assert "3 ✗" in Page(text).text
    assert "front" in told(text)["figures"]


def test_into_no_folder(bo, seen, tmp_path: Path) -> None:
    done = bo("report", "s", "-o", tmp_path / "no" / "r.html")
    assert (done.exit_code, "cannot be written" in done.stderr) == (1, True)


@pytest.fixture
def browsed(tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    """Opens a page in a browser without a network; its elements then, and what the browser complained of."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")

    def browse(text: str) -> tuple[str, str]:
        file = tmp_path / "r.html"
        file.write_text(text)
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--enable-logging=stderr"]
        done = subprocess.run(
            [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=280, check=True
        )
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    return browse


def test_a_browser_draws_every_figure(evil, browsed) -> None:
    text = report.page(evil)
    seen, complaints = browsed(text)
    assert complaints == ""
    assert seen.count('class="main-svg"') >= len(told(text)["figures"]) >= 6
    assert "hacked</title>" not in seen
    assert 'data-title="Share chart' not in seen


def test_a_browser_runs_no_other_script(evil, browsed) -> None:
    """The page's policy is a second wall: were a script let in, it would not run."""
    text = report.page(evil).replace("<main", "<script>document.title = 'hacked'</script><main", 1)
    seen, complaints = browsed(text)
    assert "<title>hacked" not in seen
    assert "Content Security Policy" in complaints
