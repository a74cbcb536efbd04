"""Pictures of the dashboard with a study of a real network: `scripts/dashboard-picture` runs it.

A network with two hidden layers learns scikit-learn's handwritten digits, in 30 trials with early stopping.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

import bo_client
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

TRIALS, EPOCHS = 30, 12
STUDY, TITLE = "digits", "A network on handwritten digits"
SPACE = {
    "learning_rate": (1e-4, 0.3, "log"),
    "weight_decay": (1e-6, 1.0, "log"),
    "units": (8, 128),
    "batch_size": [16, 32, 64, 128],
    "activation": ["relu", "tanh", "logistic"],
}
OURS = Path(__file__).parents[1] / "docs/images/dashboard.png"
VIEWS = [(1366, "light"), (1366, "dark"), (390, "light"), (390, "dark")]
HEIGHT = 960
PATIENCE_S = 120
IS_DRAWN = """
  const figure = document.querySelector('.js-plotly-plot .main-svg .scatterlayer .point');
  return Boolean(figure) && !document.querySelector('[aria-busy="true"]');
"""


def main() -> None:
    """Make the study, and write the picture of the documentation, or all into the folder of the command line."""
    pictures = {OURS: VIEWS[0]}
    if sys.argv[1:]:
        pictures = {Path(sys.argv[1], f"dashboard-{theme}-{width}.png"): (width, theme) for width, theme in VIEWS}
    with tempfile.TemporaryDirectory() as folder:
        log, port = Path(folder, "log"), Path(folder, "port")
        command = [
            sys.executable,
            "-m",
            "bo_service.cli.main",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--port-file",
            str(port),
        ]
        command += ["--storage", f"sqlite:///{folder}/bo.db", "--dashboard", "127.0.0.1:0"]
        with log.open("w") as lines, subprocess.Popen(command, stderr=lines, stdout=lines) as server:
            try:
                address, url = _addresses(log, port, server)
                with bo_client.connect(address) as client:
                    _tune(client)
                _photograph(f"{url}/studies/{STUDY}", pictures, Path(folder, "browser"))
            finally:
                server.terminate()


def _addresses(log: Path, port: Path, server: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Return the addresses of the server and of its dashboard once both answer."""
    while not ((match := re.search(r"dashboard at (http\S+?)/\s", log.read_text())) and port.exists()):
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    return f"127.0.0.1:{port.read_text().strip()}", match[1]


def _tune(client: bo_client.Client) -> None:
    """Run the trials, and leave two more running."""
    metrics = [bo_client.Metric("val_loss", "minimize"), bo_client.Metric("val_accuracy", role="information")]
    study = client.create_study(
        STUDY, SPACE, metrics, display_name=TITLE, max_trials=TRIALS + 10, stopping="median", stopping_min_step=6
    )
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=600, test_size=600, random_state=0, stratify=labels)

    def train(parameters: dict[str, object], trial: bo_client.RunningTrial) -> dict[str, float]:
        x, x_val, y, y_val = parts
        units = int(parameters["units"])  # type: ignore[call-overload]
        network = MLPClassifier(
            (units, units),
            activation=parameters["activation"],
            alpha=parameters["weight_decay"],
            batch_size=parameters["batch_size"],
            learning_rate_init=parameters["learning_rate"],
            random_state=trial.number,
        )
        values: dict[str, float] = {}
        for epoch in range(EPOCHS):
            network.partial_fit(x, y, classes=np.arange(10))
            probabilities = network.predict_proba(x_val)
            accuracy = float((probabilities.argmax(1) == y_val).mean())
            values = {"val_loss": float(log_loss(y_val, probabilities)), "val_accuracy": accuracy}
            trial.report(values, epoch + 1)
        return values

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        study.optimize(train, n_trials=TRIALS, worker_id="gpu-1", progress=False)
    study.set_note(study.best_trial.number, "The best so far. #candidate")
    for trial in study.suggest(2, worker_id="gpu-2"):
        trial.report({"val_loss": 0.8, "val_accuracy": 0.7}, 1)


def _photograph(url: str, pictures: Mapping[Path, tuple[int, str]], folder: Path) -> None:
    """Write pictures of a page, each of a width and a theme."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver_path = shutil.which("chromedriver")
    if browser is None or driver_path is None:
        raise SystemExit("there is no Chromium with chromedriver; scripts/chromium installs them")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    flags = [
        "headless=new",
        "disable-dev-shm-usage",
        "disable-gpu",
        "hide-scrollbars",
        "lang=en",
        f"user-data-dir={folder}",
    ]
    for flag in [*flags, *(["no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(f"--{flag}")
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver = webdriver.Chrome(options, Service(driver_path, env=environment))
    try:
        for target, (width, theme) in pictures.items():
            features = [{"name": "prefers-color-scheme", "value": theme}]
            size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 500}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get(url)
            WebDriverWait(driver, PATIENCE_S, 0.2).until(lambda d: d.execute_script(IS_DRAWN))
            driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
            picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
            target.write_bytes(b64decode(picture["data"]))
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
