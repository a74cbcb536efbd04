"""A server with its dashboard, tokens of each role, and a real browser without a window."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bo_client
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from bo_service.application.tokens import NewToken, create_token
from bo_service.domain.access import Role
from bo_service.storage.sqlite import SqliteStore, SystemClock

PATIENCE = 120
SEEN = """
  const look = {visibilityProperty: true, opacityProperty: true};
  return [...document.querySelectorAll(arguments[0])].find((e) => {
    const {width, height} = e.getBoundingClientRect();
    return width && height && e.checkVisibility(look);
  });
"""
"""The first element of a selector that is seen: one call, where asking for each element is two or more."""


@dataclass(frozen=True)
class Answer:
    """What HTTP answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Site:
    """A server that asks for tokens, and its dashboard."""

    def __init__(self, process, tokens: Mapping[str, str]) -> None:
        self.process = process
        self.tokens = tokens
        self.address = process.start()
        found = re.search(r"dashboard at (http\S+)/", process.log)
        assert found, process.log
        self.url = found[1]

    def client(self, role: str = "admin") -> bo_client.Client:
        return bo_client.connect(self.address, patience=0.0, token=self.tokens.get(role))

    def ask(
        self, path: str, content: object = None, role: str | None = "admin", method: str = "", **headers: str
    ) -> Answer:
        """POST of JSON where there is content, else GET; `headers` with underscores for dashes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None and role in self.tokens:
            given.setdefault("authorization", f"Bearer {self.tokens[role]}")
        body = content if isinstance(content, bytes) or content is None else json.dumps(content).encode()
        if body is not None:
            given.setdefault("content-type", "application/json")
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=2 * PATIENCE)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, given)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def call(self, method: str, content: object, role: str | None = "admin", **headers: str) -> Answer:
        """A method of the contract."""
        return self.ask(f"/bo_api.v1.OptimizationService/{method}", content, role, **headers)


def tokens_in(storage: Path) -> dict[str, str]:
    """One of each role, and one of an administrator of `mine-*` alone."""
    store = SqliteStore(storage)
    asked = {**{role.value: NewToken(role) for role in Role}, "mine": NewToken(Role.ADMIN, ("mine-*",))}
    made = {name: create_token(store, SystemClock(), new).text for name, new in asked.items()}
    store.close()
    return made


@pytest.fixture(scope="module")
def site(make_shared_server: Callable[..., Any]) -> Site:
    process = make_shared_server("--dashboard", "127.0.0.1:0", "--dashboard-origin", "https://tools.example")
    return Site(process, tokens_in(process.storage))


def _programs() -> tuple[str, str] | None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """A tab, and what it has asked for and complained of."""

    def __init__(self, programs: tuple[str, str], folder: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = programs[0]
        flags = ["headless=new", "disable-dev-shm-usage", "disable-background-networking", "no-first-run", "lang=en"]
        flags += ["disable-gpu"]  # else a processor computes what one would draw
        for flag in [*flags, f"user-data-dir={folder}", *(["no-sandbox"] if os.geteuid() == 0 else [])]:
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.driver = webdriver.Chrome(options, Service(programs[1], env=environment))
        self._cookies: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def open(self, url: str) -> None:
        self.driver.get(url)

    def load(self, url: str) -> None:
        """Load a page, also where its fragment alone differs. Loaded anew in its process it costs half as much."""
        page = urlsplit(url)
        if self.driver.current_url.startswith(f"{page.scheme}://{page.netloc}/"):
            self.run("history.replaceState(null, '', arguments[0])", url)
            self.driver.refresh()
        else:
            self.open(url)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The one that is seen, as soon as there is one."""
        return self.until(lambda: self.run(SEEN, selector), selector)

    def until(self, check: Callable[[], Any], what: str = "") -> Any:
        """What the check returns as soon as that is true; the page may change under it meanwhile."""
        from selenium.common.exceptions import StaleElementReferenceException as Stale

        return WebDriverWait(self.driver, PATIENCE, 0.1, [Stale]).until(lambda _: check(), what)

    def reads(self, selector: str, text: str) -> None:
        """Waits for a text in an element."""
        self.until(lambda: text in self.one(selector).text, f"{text!r} in {selector}")

    def click(self, selector: str) -> None:
        self.until(lambda: self._clicked(selector), selector)

    def _clicked(self, selector: str) -> bool:
        self.one(selector).click()
        return True

    def write(self, selector: str, text: str) -> None:
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def command(self, name: str, /, **given: object) -> Any:
        return self.driver.execute_cdp_cmd(name, given)

    def looks(self, theme: str = "light", width: int = 1200) -> None:
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def sign_in(self, site: Site, role: str) -> None:
        """On the first page, where a token is written only once: each page that is loaded costs half a second."""
        self.command("Network.clearBrowserCookies")
        kept = self._cookies.get((site.url, role))
        for cookie in kept or ():
            self.command("Network.setCookie", **cookie)
        self.open(f"{site.url}/")
        if kept is None:
            self.write("#token", site.tokens[role])
            self.click("#sign-in button")
        self.one("#main")
        self._cookies[site.url, role] = [
            {"name": c["name"], "value": c["value"], "url": site.url, "httpOnly": True, "sameSite": "Strict"}
            for c in self.command("Network.getCookies", urls=[site.url])["cookies"]
        ]

    def complaints(self) -> list[str]:
        """Of the console, since the last time."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def hosts(self) -> set[str]:
        """Which the pages have asked since the last time."""
        told = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [m["params"]["request"]["url"] for m in told if m["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).netloc for url in urls if not url.startswith(("data:", "blob:"))}


@pytest.fixture(scope="module")
def lasting_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for the tests of a file; without one they are skipped, but not where every test must run."""
    found = _programs()
    if found is None:
        reason = "there is no Chromium with chromedriver on this machine; scripts/chromium installs them"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Browser(found, tmp_path_factory.mktemp("browser"))
    yield made
    made.driver.quit()


@pytest.fixture
def browser(lasting_browser: Browser, site: Site) -> Iterator[Browser]:
    """Wide and light; what its pages asked for is ours alone, and its console has nothing to say."""
    lasting_browser.looks()
    lasting_browser.open("about:blank")
    lasting_browser.complaints(), lasting_browser.hosts()
    yield lasting_browser
    assert lasting_browser.complaints() == []
    assert lasting_browser.hosts() <= {urlsplit(site.url).netloc}


def soon(check: Callable[[], Any]) -> Any:
    """What the check returns as soon as that is true."""
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found
