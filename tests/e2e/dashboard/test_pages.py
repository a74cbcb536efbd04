"""The pages in a real browser: what they show, what they do, and for whom they can be read."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import bo_client
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.e2e.dashboard.conftest import PATIENCE

pytestmark = pytest.mark.xdist_group("dashboard-pages")

EVIL = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-5, 1e-1, "log", default=1e-3),
        bo_client.CategoricalParameter("norm", ["batch", "layer", "group"]),
        bo_client.IntParameter("groups", 1, 8, activation=bo_client.Activation("norm", ["group"])),
        bo_client.FloatParameter("decay", 0.0, 1.0),
    ]
)
TABS = ("overview", "trials", "compare", "curves", "parameters", "diagnosis", "workers", "definition")
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()


def filled(client: bo_client.Client, name: str, trials: int = 14, title: str = "") -> bo_client.Study:
    """A study with results, a failure, a running trial with its curve, and diagnoses."""
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("accuracy", role="information")]
    study = client.create_study(
        name, SPACE, metrics, seed=1, initial_trials=100, display_name=title, lease_duration=600.0
    )
    for number in range(trials):
        (trial,) = study.suggest(worker_id=f"gpu-{number % 2}")
        if number == 3:
            trial.fail("DIVERGED", EVIL, labels={"diagnosis": "exploding gradients", "note": EVIL})
            continue
        loss = abs(trial.parameters["decay"] - 0.3) + 0.1
        for step in range(3):
            trial.report({"loss": loss + 1 / (step + 1)}, step)
        trial.complete({"loss": loss, "accuracy": 1 - loss}, labels={"diagnosis": "healthy"})
    (running,) = study.suggest(worker_id="gpu-<i>9</i>")
    running.report({"loss": 2.0}, 0)
    running.report({"loss": 1.5}, 1)
    return study


@pytest.fixture(scope="module")
def client(site):
    with site.client() as found:
        yield found


@pytest.fixture(scope="module")
def study(client) -> bo_client.Study:
    made = filled(client, "pages", title=EVIL)
    made.analyze(timeout=2 * PATIENCE)  # the pages wait a minute for what has to be learned first
    return made


def show(browser, site, study: bo_client.Study | str, tab: str = "overview") -> None:
    name = study if isinstance(study, str) else study.id
    browser.load(f"{site.url}/studies/{name}#{tab}")
    browser.one(f"#{tab}")
    browser.reads("#connection", "live")


def turn(browser, tab: str) -> None:
    """To another tab of the page that is shown."""
    browser.run("location.hash = arguments[0]", tab)
    browser.one(f"#{tab}")


def rows(browser, body: str = "#trial-body") -> list[str]:
    """The first cells."""
    return browser.run(
        "return [...document.querySelectorAll(arguments[0] + ' tr > :first-child')].map(c => c.textContent)", body
    )


def choose(browser, select: str, value: str) -> None:
    """As somebody does with the mouse."""
    told = "for (const kind of ['input', 'change']) s.dispatchEvent(new Event(kind, {bubbles: true}))"
    browser.run(f"const s = document.getElementById(arguments[0]); s.value = arguments[1]; {told}", select, value)


def drawn(browser, kind: str) -> bool:
    """Whether a figure is there, with marks in it."""
    script = "const p = document.querySelector(arguments[0]); return !!p && p.querySelectorAll(arguments[1]).length > 5"
    if kind == "parallel":
        return browser.run(script, "#parallel .picture svg", "polyline")
    return browser.run(script, f":not([hidden]) > [data-figure={kind}] .js-plotly-plot", "path")


def signed_in(browser, site, role: str) -> None:
    browser.sign_in(site, role)
    browser.complaints()  # of another token, perhaps


# -- what is shown


def test_whoever_has_no_token_sees_nothing_but_the_door(browser, site, study) -> None:
    browser.command("Network.clearBrowserCookies")
    browser.open(f"{site.url}/studies/{study.id}")
    browser.write("#token", "bo_wrong")
    browser.click("#sign-in button")
    browser.reads("#sign-in-fault", "no such token")
    assert not browser.one("#signed-out h1").get_attribute("hidden")
    assert "loss" not in browser.run("return document.body.innerText")
    assert any("401" in told for told in browser.complaints())
    browser.write("#token", site.tokens["reader"])
    browser.click("#sign-in button")
    browser.reads("#connection", "live")
    assert browser.run("return document.cookie") == ""  # no script can read it
    browser.click("#caller button")
    browser.one("#sign-in")
    browser.open(f"{site.url}/studies/{study.id}")
    browser.one("#sign-in")


def test_studies_are_listed_with_their_best(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    browser.reads("#studies", study.id)
    best = study.best()
    browser.reads("#studies", f"trial {best.number}")
    browser.reads("#studies", "14")
    browser.write("#filter", "nothing like it")
    browser.reads("#none", "No study")
    browser.write("#filter", "pag")
    browser.click("#studies a")
    browser.reads("#connection", "live")
    browser.reads("#tiles", f"{best.value('loss'):.5g}"[:5])


@pytest.mark.parametrize(
    ("tab", "kinds"),
    [
        ("overview", ["convergence"]),
        ("curves", ["curves"]),
        ("parameters", ["importance", "parallel", "slice", "contour"]),
        ("workers", ["workers"]),
    ],
)
def test_figures_are_drawn(browser, site, study, tab: str, kinds: list[str]) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, tab)
    for kind in kinds:
        browser.run("document.querySelector(`[data-figure=${arguments[0]}]`).scrollIntoView()", kind)
        browser.until(lambda kind=kind: drawn(browser, kind), kind)
        browser.until(lambda kind=kind: browser.one(f"[data-figure={kind}] figcaption").text, kind)


def test_slices_and_contours_go_along_what_is_chosen(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, "parameters")
    browser.run("document.getElementById('slice').scrollIntoView()")
    browser.until(lambda: drawn(browser, "slice"))
    choose(browser, "slice-along", "decay")
    browser.reads("#slice figcaption", "along decay")
    browser.run("document.getElementById('contour').scrollIntoView()")
    for name, value in (("contour-first", "decay"), ("contour-second", "lr"), ("contour-show", "std")):
        choose(browser, name, value)
    browser.reads("#contour figcaption", "decay")
    browser.until(lambda: "lr" in browser.one("#contour figcaption").text)


def test_a_front_is_drawn_for_several_objectives(browser, site, client) -> None:
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("size", "minimize")]
    study = client.create_study("two", SPACE, metrics)
    for decay in (0.1, 0.4, 0.8):
        study.add({"lr": 1e-3, "norm": "batch", "decay": decay}, {"loss": decay, "size": 1 / decay})
    signed_in(browser, site, "reader")
    show(browser, site, study)
    browser.until(lambda: drawn(browser, "front"))
    browser.reads("#tiles", "Pareto set")
    browser.until(lambda: sorted(rows(browser, "#best-body")) == ["1", "2", "3"])


def test_workers_the_diagnosis_and_the_definition_are_told(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, "workers")
    browser.reads("#worker-body", "gpu-<i>9</i>")
    browser.reads("#worker-body", "ends in")
    browser.reads("#worker-body", "step 1: loss 1.5")
    browser.run("location.hash = 'diagnosis'")
    browser.reads("#ailments", "exploding gradients")
    browser.reads("#surrogate", "best")
    browser.run("location.hash = 'definition'")
    browser.reads("#parameter-body", "norm is group")
    browser.reads("#study-settings", "initial trials")


def test_a_trial_tells_why_it_was_suggested_and_how_it_went(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study, "trials")
    browser.click("[data-trial='4']")
    browser.reads("#trial-content", "Why it was suggested")
    browser.reads("#trial-content", "diverged")
    browser.reads("#trial-content pre", "onerror")
    browser.click("#trial-close")
    browser.click("[data-trial='2']")
    browser.reads("#trial-content", "accuracy")
    assert browser.one("#trial-content .curve polyline")


@pytest.fixture(scope="module")
def failing(client) -> bo_client.Study:
    """A study whose four trials each failed at both attempts, on two machines."""
    study = client.create_study(
        "failing", SPACE, "loss", goal="minimize", max_attempts=2, initial_trials=100, display_name="failing"
    )
    for _ in range(4):
        for machine in ("gpu-a", "gpu-b"):
            (trial,) = study.suggest(worker_id=machine)
            trial.fail("CRASHED", f"no driver on {machine} {EVIL}")
    return study


def test_a_failing_study_says_so_where_it_is_listed_and_on_its_page(browser, site, failing) -> None:
    said = "4 of the last 4 trials failed; first (trial 1): CRASHED: no driver on gpu-b <script>"
    signed_in(browser, site, "reader")
    browser.reads("#studies", said)
    show(browser, site, failing)
    browser.reads("#failing", said)
    show(browser, site, failing, "trials")
    columns = browser.run("return [...document.querySelectorAll('#trials thead th')].map(c => c.textContent.trim())")
    place = next(i for i, title in enumerate(columns) if title.startswith("Worker"))
    cells = "return [...document.querySelectorAll('#trial-body tr')].map(r => r.children[arguments[0]].textContent)"
    browser.until(lambda: browser.run(cells, place) == ["gpu-b"] * 4)


def test_a_study_that_does_not_fail_has_no_such_line(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, study)
    browser.reads("#tiles", "trial")
    assert browser.run("return document.getElementById('failing').textContent") == ""


def test_a_trial_tells_each_of_its_attempts(browser, site, failing) -> None:
    signed_in(browser, site, "reader")
    show(browser, site, failing, "trials")
    browser.click("[data-trial='1']")
    browser.reads("#trial-content [aria-label=Attempts]", "gpu-a")
    told = browser.run(
        "return [...document.querySelectorAll('#trial-content [aria-label=Attempts] tbody tr')]"
        ".map(r => [...r.children].map(c => c.textContent))"
    )
    assert [(row[0], row[1]) for row in told] == [("1", "gpu-a"), ("2", "gpu-b")]
    assert all(row[3] and row[4] for row in told)
    assert told[0][2].startswith("failed: crashed no driver on gpu-a <script>")
    assert browser.run("return window.pwned") is None


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_failures_and_attempts_fit_a_phone(browser, site, failing, theme: str) -> None:
    signed_in(browser, site, "reader")
    browser.looks(theme, 390)
    show(browser, site, failing)
    browser.one("#failing")
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(overflow) <= 0
    show(browser, site, failing, "trials")
    browser.run("document.querySelector(\"[data-trial='1']\").click()")
    browser.one("#trial-content [aria-label=Attempts]")
    assert browser.run(overflow) <= 0
    wide = "const c = document.querySelector('#trial-content'); return c.scrollWidth - c.clientWidth"
    assert browser.run(wide) <= 0
    assert faults(browser) == []


def test_what_users_write_is_never_a_part_of_the_page(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    browser.reads("#studies", "<script>window.pwned")
    show(browser, site, study)
    browser.reads("#title", "<script>window.pwned")
    for tab in TABS:
        turn(browser, tab)
        browser.until(lambda: "…" not in browser.run("return document.getElementById('main').innerText"))
    browser.click("#main nav a")
    browser.until(lambda: drawn(browser, "convergence"))
    assert browser.run("return window.pwned") is None
    assert browser.run("return document.querySelectorAll('img').length") == 0


# -- as it happens


def test_a_trial_that_completes_is_seen_at_once(browser, site, client) -> None:
    study = filled(client, "live", trials=2)
    signed_in(browser, site, "reader")
    show(browser, site, study)
    browser.until(lambda: drawn(browser, "convergence"))
    browser.reads("#tiles", "Running\n1")
    (trial,) = study.suggest(worker_id="new")
    browser.reads("#tiles", "Running\n2")
    trial.complete({"loss": 0.001234, "accuracy": 1.0})
    browser.reads("#tiles", "0.001234")
    browser.until(
        lambda: (
            f"Trial {trial.number} succeeded" in browser.run("return document.getElementById('announcer').textContent")
        )
    )
    browser.until(lambda: "0.001234" in browser.one("#convergence figcaption").text)
    study.delete_trial(trial.number)
    browser.until(lambda: "0.001234" not in browser.one("#tiles").text)


def test_it_goes_on_after_the_connection_broke(browser, site, client) -> None:
    study = filled(client, "broken", trials=1)
    signed_in(browser, site, "reader")
    show(browser, site, study, "trials")
    browser.command("Network.enable")
    broken = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.run("dispatchEvent(new PageTransitionEvent('pagehide'))")
    browser.command("Network.emulateNetworkConditions", offline=True, **broken)
    study.add({"lr": 1e-3, "norm": "batch", "decay": 0.5}, {"loss": 0.5, "accuracy": 0.5})
    browser.command("Network.emulateNetworkConditions", offline=False, **broken)
    browser.run("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    browser.until(lambda: len(rows(browser)) == 3)


# -- the table


def test_trials_are_sorted_filtered_and_paged(browser, site, client) -> None:
    study = client.create_study("many", SPACE, "loss", goal="minimize")
    for number in range(60):
        values = {"lr": 1e-5 * 1.1**number, "norm": "batch" if number % 3 else "layer", "decay": number / 60}
        study.add(values, abs(number - 30) / 10)
    signed_in(browser, site, "reader")
    show(browser, site, study, "trials")
    browser.until(lambda: len(rows(browser)) == 50)
    assert rows(browser)[0] == "60"
    browser.reads("#trial-count", "60 trials, page 1 of 2")
    browser.click("#trial-next")
    browser.until(lambda: rows(browser)[-1] == "1")
    browser.click("[data-key=loss]")
    browser.until(lambda: rows(browser)[0] == "31 ★")
    assert browser.one("th:has([data-key=loss])").get_attribute("aria-sort") == "ascending"
    browser.click("[data-key=loss]")
    browser.until(lambda: rows(browser)[0] in ("1", "60") and rows(browser)[0] == "1")
    browser.write("#trial-filter", "decay<0.2 norm=layer")
    browser.until(lambda: sorted(rows(browser), key=int) == ["1", "4", "7", "10"])
    browser.write("#trial-filter", "nope=1")
    browser.reads("#trial-filter-fault", "there is no column 'nope'")
    browser.write("#trial-filter", "layer")
    browser.reads("#trial-count", "20 of 60")
    choose(browser, "trial-state", "FAILED")
    browser.until(lambda: rows(browser) == [])


# -- what is done


def test_readers_are_offered_nothing_to_change(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    assert not [b for b in browser.all("#new") if b.is_displayed()]
    show(browser, site, study, "trials")
    browser.click("[data-trial='2']")
    browser.reads("#trial-content", "accuracy")
    assert [b.text for b in browser.all("#study-actions button, #trial-actions button")] == []
    call = """
      const sent = {method: 'POST', headers: {'content-type': 'application/json'}, body: arguments[1]};
      return fetch(arguments[0], sent).then((answer) => answer.status);
    """
    for method, content in (
        ("StopTrial", {"name": f"{study.name}/trials/2"}),
        ("UpdateStudy", {"study": {"name": study.name, "state": "STUDY_STATE_PAUSED"}, "updateMask": "state"}),
        ("DeleteStudy", {"name": study.name}),
    ):
        assert browser.run(call, f"/bo_api.v1.OptimizationService/{method}", json.dumps(content)) == 403
    assert len([told for told in browser.complaints() if "403" in told]) == 3


def test_a_study_is_paused_resumed_and_stopped(browser, site, client) -> None:
    study = filled(client, "acted", trials=1)
    signed_in(browser, site, "worker")
    show(browser, site, study)
    assert not browser.all("[data-act=remove]")  # which is for administrators
    for act, state in (("pause", "PAUSED"), ("resume", "ACTIVE"), ("finish", "COMPLETED"), ("resume", "ACTIVE")):
        browser.click(f"[data-act={act}]")
        if act == "finish":
            browser.click("dialog.asking .primary")
        browser.reads("#state", state.lower())
        assert study.info().state == state


def test_trials_are_queued_stopped_and_deleted(browser, site, client) -> None:
    study = filled(client, "handled", trials=2)
    signed_in(browser, site, "admin")
    show(browser, site, study, "trials")
    browser.click("[data-act=enqueue]")
    assert browser.one("#q-lr").get_attribute("value") == "0.001"
    assert not browser.run("return document.getElementById('q-groups').checkVisibility()")
    choose(browser, "q-norm", "group")
    browser.write("#q-groups", "3")
    browser.write("#q-decay", "0.25")
    browser.click("#queue-form .primary")
    browser.reads("#notice", "Trial 4 is queued")
    queued = study.trial(4)
    assert queued.parameters == {"lr": 1e-3, "norm": "group", "groups": 3, "decay": 0.25}
    browser.click("[data-trial='4']")
    browser.click("#trial-actions [data-act=stop]")
    browser.write("#asked", "no need <b>")
    browser.click("dialog.asking .primary")
    browser.reads("#trial-title", "stopped")
    assert (study.trial(4).state, study.trial(4).stop_reason) == ("STOPPED", "no need <b>")
    browser.click("#trial-actions [data-act=remove]")
    browser.click("dialog.asking .primary")
    browser.until(lambda: [t.number for t in study.trials()] == [1, 2, 3])
    browser.until(lambda: rows(browser)[0] == "3")


def only_gone(browser) -> None:
    """A figure may have been asked for while its study was deleted."""
    browser.open("about:blank")
    assert all("404" in told for told in browser.complaints())


def test_a_refusal_of_the_server_is_told(browser, site, client) -> None:
    study = filled(client, "refusing", trials=1)
    made = client.tokens.create("worker")
    browser.sign_in(site, "admin")
    cookie = {"name": f"bo_token_{urlsplit(site.url).port}", "value": made.text, "url": site.url}
    browser.command("Network.setCookie", **cookie)
    show(browser, site, study)
    browser.one("[data-act=pause]")
    client.tokens.revoke(made.info.id)
    browser.click("[data-act=pause]")
    browser.reads("#notice", made.info.id)
    assert study.info().state == "ACTIVE"
    assert all("401" in told for told in browser.complaints())


def test_a_study_that_is_gone_is_told(browser, site, client) -> None:
    study = filled(client, "gone", trials=1)
    signed_in(browser, site, "admin")
    show(browser, site, study)
    client.delete_study(study.id)
    browser.reads("#notice", "studies/gone")
    only_gone(browser)


def test_a_study_is_made_and_deleted(browser, site, client) -> None:
    signed_in(browser, site, "admin")
    browser.click("#new summary")
    browser.write("#id", "made-here")
    browser.run("document.getElementById('yaml').value = 'parameters: {}'")
    browser.click("#create .primary")
    browser.reads("#create-fault", "metrics")
    assert all("400" in told for told in browser.complaints())
    text = "parameters:\n  x: {type: float, low: 0, high: 1}\nmetrics: {loss: minimize}"
    browser.run("document.getElementById('yaml').value = arguments[0]", text)
    browser.click("#create .primary")
    browser.reads("#connection", "live")
    assert client.study("made-here").definition.space.names == ("x",)
    browser.click("[data-act=remove]")
    browser.click("dialog.asking .primary")
    browser.one("#studies, #none")
    browser.until(lambda: "made-here" not in [s.id for s in client.studies()])
    only_gone(browser)


# -- for whom it can be read


def walk(browser, steps: int, until: str = "") -> list[dict[str, str]]:
    """What Tab comes to, up to the first that the selector fits."""
    told = """
      const e = document.activeElement, fits = arguments[0] && e.matches(arguments[0]);
      return {id: e.id || e.className, text: e.textContent.trim(), outline: getComputedStyle(e).outlineStyle, fits}
    """
    met = []
    while len(met) < steps and not (met and met[-1]["fits"]):
        press(browser, Keys.TAB)
        met.append(browser.run(told, until))
    return met


def press(browser, key: str) -> None:
    ActionChains(browser.driver).send_keys(key).perform()


def test_all_of_it_is_reached_by_keyboard(browser, site, study) -> None:
    signed_in(browser, site, "admin")
    browser.open(f"{site.url}/studies/{study.id}")
    browser.reads("#connection", "live")
    browser.reads("#study-actions", "Pause")
    to_tab = walk(browser, 30, "nav a[href='#trials']")
    assert to_tab[0]["id"] == "skip"
    assert {"Pause", "Queue a trial", "Sign out"} <= {each["text"] for each in to_tab}
    press(browser, Keys.ENTER)
    browser.until(lambda: len(rows(browser)) == 15)
    to_trial = walk(browser, 40, "[data-trial]")
    assert {"trial-filter", "trial-state", "trial-rows"} <= {each["id"] for each in to_trial}
    assert all(each["outline"] not in ("none", "") for each in [*to_tab, *to_trial])
    number = to_trial[-1]["text"].split()[0]
    press(browser, Keys.ENTER)
    browser.reads("#trial-title", f"Trial {number}")
    assert browser.run("return document.activeElement.id") == "trial-close"
    press(browser, Keys.ESCAPE)
    browser.until(lambda: browser.run("return document.activeElement.dataset.trial") == number)


def test_nothing_is_wider_than_a_phone(browser, site, study) -> None:
    signed_in(browser, site, "admin")
    browser.looks(width=360)
    wide = "return document.documentElement.scrollWidth"
    assert browser.run(wide) == 360
    show(browser, site, study)
    for tab in TABS:
        turn(browser, tab)
        browser.until(lambda: browser.one("#tiles, #main section:not([hidden])").text)
        assert browser.run(wide) == 360, tab
    browser.run("location.hash = 'trials'")
    browser.click("[data-trial='2']")
    browser.reads("#trial-content", "accuracy")
    assert browser.run("return document.getElementById('trial').getBoundingClientRect().right") <= 360


def faults(browser) -> list[str]:
    """What axe finds against WCAG 2.2, A and AA."""
    if not browser.run("return 'axe' in window"):
        browser.run(AXE)
    script = """
      const done = arguments[arguments.length - 1];
      axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(
        (told) => done(told.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`))),
        (error) => done([String(error)]));
    """
    return browser.driver.execute_async_script(script)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_it(browser, site, study, theme: str) -> None:
    browser.looks(theme)
    browser.command("Network.clearBrowserCookies")
    browser.open(f"{site.url}/")
    browser.one("#token")
    assert faults(browser) == []
    signed_in(browser, site, "admin")
    browser.reads("#studies", study.id)
    browser.click("#new summary")
    assert faults(browser) == []
    show(browser, site, study)
    for tab in TABS:
        turn(browser, tab)
        browser.until(lambda: "…" not in browser.run("return document.getElementById('main').innerText"))
        assert faults(browser) == [], tab
    browser.run("location.hash = 'trials'")
    browser.click("[data-trial='2']")
    browser.reads("#trial-content", "accuracy")
    assert faults(browser) == []
    browser.click("#trial-close")
    browser.click("[data-act=enqueue]")
    browser.one("#q-lr")
    assert faults(browser) == []
    browser.click("#queue-cancel")
    browser.click("[data-act=finish]")
    browser.one("dialog.asking")
    assert faults(browser) == []
    press(browser, Keys.ESCAPE)
    browser.until(lambda: not browser.all("dialog.asking"))


def test_the_theme_can_be_chosen_and_is_kept(browser, site, study) -> None:
    signed_in(browser, site, "reader")
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert browser.run(ground) == "rgb(255, 255, 255)"
    browser.click("#theme")
    assert browser.run(ground) == "rgb(20, 24, 31)"
    show(browser, site, study)
    assert browser.run(ground) == "rgb(20, 24, 31)"
    browser.until(lambda: drawn(browser, "convergence"))
    browser.until(
        lambda: browser.run("return document.querySelector('#convergence .picture').layout.font.color") == "#e6e9ef"
    )
    browser.click("#theme")
    browser.run("localStorage.clear()")
