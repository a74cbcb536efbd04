"""Exploring a study in a real browser: addresses, the table, figures, comparisons and downloads, on one study."""

import json
import re
from urllib.parse import quote

import bo_client
import pytest
from selenium.webdriver.common.action_chains import ActionChains

from tests.e2e.dashboard.test_pages import EVIL, SPACE, choose, drawn, faults, rows, signed_in

pytestmark = pytest.mark.xdist_group("dashboard-explore")


@pytest.fixture(scope="module")
def client(site):
    with site.client() as found:
        yield found


@pytest.fixture(scope="module")
def study(client) -> bo_client.Study:
    """Two objectives, curves of a metric that the study does not define, a note with a tag, a log."""
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("size", "minimize")]
    study = client.create_study("explored", SPACE, metrics, seed=1, algorithm="quasi_random")
    for number in range(8):
        (trial,) = study.suggest(worker_id="gpu")
        decay = trial.parameters["decay"]
        for step in range(4):
            trial.report({"loss": decay + 1 / (step + 1), "train_loss": decay}, step)
        if number == 1:
            trial.add_artifact(f"epoch 1\n{EVIL}".encode(), name="train.log", media_type="text/plain")
        trial.complete({"loss": decay, "size": 1 / (decay + 0.1)})
    study.set_note(3, f"again #rerun {EVIL}")
    return study


def show(browser, site, study: bo_client.Study, address: str = "overview") -> None:
    """Opens a study's page; the address may have a query."""
    browser.load(f"{site.url}/studies/{study.id}#{address}")
    browser.one(f"#{address.partition('?')[0]}")
    browser.reads("#connection", "live")


def hash_of(browser) -> str:
    return browser.run("return location.hash")


def test_the_address_holds_the_trial_the_filter_and_the_columns(browser, site, study) -> None:
    signed_in(browser, site, "worker")
    browser.open(f"{site.url}/studies/{study.id}/trials/3")
    browser.reads("#trial-title", "Trial 3")
    browser.reads("#trial-content", "#rerun")
    assert hash_of(browser) == "#trials?trial=3"
    browser.click("#trial-content .tag")
    browser.until(lambda: rows(browser)[:1] and rows(browser)[0].startswith("3"))
    assert hash_of(browser) == "#trials?filter=tag%3Drerun"
    assert browser.one("#trial-filter").get_attribute("value") == "tag=rerun"
    show(browser, site, study, f"trials?filter={quote('loss<0.6 lr<0.05')}&order=loss&columns=number~loss~lr")
    browser.until(lambda: browser.all("#trial-body tr"))
    heads = "return [...document.querySelectorAll('#trial-head th')].map((c) => c.textContent)"
    assert browser.run(heads) == ["Trial", "loss ▲", "lr", "Compare"]
    browser.reads("#trial-count", "columns not shown")
    browser.write("#trial-filter", "norm=btch")
    browser.reads(
        "#trial-filter-fault", "Filter not understood: norm is never 'btch'; its values are batch, layer, group"
    )
    assert browser.one("#trial-filter").get_attribute("aria-invalid") == "true"
    assert rows(browser) == []
    browser.write("#trial-filter", "norm=batch,layer,group")
    browser.until(lambda: len(rows(browser)) == 8)
    assert "filter=norm" in hash_of(browser)
    assert browser.run("return window.pwned") is None


def test_a_log_is_shown_as_text(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, "trials?trial=2")
    browser.click("[aria-label='Show train.log']")
    browser.reads("#trial-content .file pre", "<script>window.pwned")
    assert browser.run("return window.pwned") is None
    browser.click("#trial-close")
    browser.until(lambda: hash_of(browser) == "#trials")


def test_trials_and_studies_are_compared(browser, site, client, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, "trials")
    for number in (2, 5):
        browser.click(f"[data-mark='{number}']")
    browser.reads("#trial-compare", "Compare 2 trials")
    browser.click("#trial-compare")
    browser.reads("#compare-head", "Trial 5")
    assert hash_of(browser) == "#compare?trials=2.5"
    browser.reads("#compare-body", "≠ decay")
    browser.until(lambda: drawn(browser, "curves"))
    browser.reads("#compare-curves figcaption", "2 trials")
    assert faults(browser) == []
    other = client.create_study("other", SPACE, "loss", goal="minimize", display_name="not yet begun")
    browser.open(f"{site.url}/")
    browser.until(lambda: rows(browser, "#studies")[:1] == [f"{other.id}not yet begun"])  # the last that changed
    for name in ("explored", "other"):
        browser.click(f"[data-mark='{name}']")
    browser.click("#compare")
    browser.reads("#body", "Best loss")
    browser.until(lambda: drawn(browser, "comparison"))
    show(browser, site, other)
    browser.reads("#start-command", "bo-worker run --server HOST:PORT --study other")


def test_figures_open_trials_zoom_and_are_saved(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study)
    browser.until(lambda: drawn(browser, "convergence"))
    where = """
      const p = document.querySelector('#convergence .picture'), d = p.data.findIndex((t) => t.customdata?.length > 3);
      const points = p.querySelectorAll('.scatterlayer .trace')[d].querySelectorAll('.points path');
      const box = points[2].getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2, p.data[d].customdata[2]];
    """

    def pointed() -> bool:
        """Moves to the point, which is elsewhere once what is above it has been drawn."""
        mouse = ActionChains(browser.driver)
        x, y, _ = browser.run(where)
        mouse.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        mouse.perform()
        return browser.run("return !!document.querySelector('#convergence.opens, #convergence .opens')")

    browser.until(pointed)
    number = browser.run(where)[2]
    ActionChains(browser.driver).click().perform()
    browser.reads("#trial-title", f"Trial {number}")
    browser.click("#trial-close")
    width = "const [a, b] = document.querySelector('#convergence .picture').layout.xaxis.range; return b - a"
    whole = browser.run(width)
    browser.click("#convergence [title='Zoom in']")
    browser.until(lambda: browser.run(width) == pytest.approx(whole / 2))
    browser.click("#convergence [title='Show the whole figure']")
    browser.until(lambda: browser.run(width) == pytest.approx(whole))
    kept = "HTMLAnchorElement.prototype.click = function () { window.saved = [this.download, this.href.slice(0, 22)] }"
    browser.run(kept)
    browser.click("#convergence [title='Save as PNG']")
    browser.until(lambda: browser.run("return window.saved"))
    assert browser.run("return window.saved") == ["explored-convergence.png", "data:image/png;base64,"]
    browser.run("location.hash = 'curves'")
    browser.until(lambda: "train_loss" in browser.one("#curve-metric").text)
    for name, value in (("curve-metric", "train_loss"), ("curve-scale", "log"), ("curve-smoothing", "0.5")):
        choose(browser, name, value)
    browser.reads("#all-curves figcaption", "train_loss by step, smoothed by 0.5")
    assert "metric=train_loss&scale=log&smoothing=0.5" in hash_of(browser)


def test_a_range_on_an_axis_becomes_a_filter(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, "parameters")
    browser.run("document.querySelector('[data-figure=importance]').hidden = true")  # else it moves what is below it
    browser.run("document.getElementById('parallel').scrollIntoView()")
    browser.until(lambda: browser.all("#parallel polyline"))
    places = "return [...document.querySelectorAll('#parallel .brush')].map((r) => r.getBoundingClientRect().toJSON())"
    boxes = browser.run(places)
    assert len(boxes) == 4 + 2  # both objectives
    box = boxes[3]  # decay, from 0 to 1
    x, top, height = box["x"] + box["width"] / 2, box["y"], box["height"]
    mouse = ActionChains(browser.driver)
    pointer = mouse.w3c_actions.pointer_action
    pointer.move_to_location(round(x), round(top + height / 2)).pointer_down()
    pointer.move_to_location(round(x), round(top + height + 10)).pointer_up()
    mouse.perform()
    browser.until(lambda: browser.one("#parallel-filter").get_attribute("value"))
    written = browser.one("#parallel-filter").get_attribute("value")
    found = re.fullmatch(r"decay<=(0\.\d+)", written)
    assert found, written
    assert float(found[1]) == pytest.approx(0.5, abs=0.02)
    within = sum(t.parameters["decay"] <= float(found[1]) for t in study.trials())
    browser.reads("#parallel figcaption", f"{within} of 8 trials match the filter")
    browser.click("#parallel-table")
    browser.until(lambda: len(rows(browser)) == within)


@pytest.mark.parametrize(("theme", "width"), [("dark", 390), pytest.param("light", 1366, marks=pytest.mark.slow)])
def test_everybody_can_explore(browser, site, study, theme: str, width: int) -> None:
    signed_in(browser, site, "worker")
    browser.looks(theme, width)
    show(browser, site, study, "trials")
    browser.click(".columns summary")
    assert faults(browser) == []
    assert browser.run("return document.documentElement.scrollWidth") <= width
    show(browser, site, study, "parameters?filter=decay<0.5")
    browser.until(lambda: browser.all("#parallel polyline"))
    assert faults(browser) == []
    show(browser, site, study, "compare?trials=1.2")
    browser.reads("#compare-head", "Trial 2")
    assert faults(browser) == []
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_downloads_are_files_that_no_browser_renders(site, study) -> None:
    filtered = quote("loss<0.5")
    answer = site.ask(f"/data/studies/{study.id}/trials.csv?filter={filtered}&order=loss", role="reader")
    lines = answer.body.decode().splitlines()
    expected = sorted((t for t in study.trials() if t.value("loss") < 0.5), key=lambda t: t.value("loss"))
    assert [line.split(",")[0] for line in lines] == ["trial", *(str(t.number) for t in expected)]
    report = site.ask(f"/data/studies/{study.id}/report.html", role="reader")
    for told, name in ((answer, "trials.csv"), (report, "report.html")):
        assert told.status == 200
        assert told.headers["content-disposition"] == f'attachment; filename="explored-{name}"'
        assert told.headers["content-security-policy"] == "default-src 'none'; sandbox"
    refused = site.ask(f"/data/studies/{study.id}/trials.csv?filter=nope%3D1", role="reader")
    assert (refused.status, "there is no column 'nope'" in refused.content["message"]) == (400, True)
    assert site.ask(f"/data/studies/{study.id}/trials", role=None).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "figures/curves?scale=cubic",
        "figures/curves?smoothing=1",
        "figures/curves?smoothing=nan",
        "figures/curves?trial=x",
        "trials?rows=0",
        "parallel?metric=nope",
    ],
)
def test_what_cannot_be_shown_is_refused(site, study, path: str) -> None:
    answer = site.ask(f"/data/studies/{study.id}/{path}")
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_argument")
