"""The fenced snippets of a page, and a reader who follows the page from top to bottom in one folder.

What differs from what a reader does: installing is left out, for the tests run where all is installed (that the extras
exist is checked); servers listen on free ports of loopback, and the addresses that pages name become theirs.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bo_client.cli.main
import bo_worker.cli
import click
import pytest
from bo_client import specfile

import bo_service.cli.main

ROOT = Path(__file__).parents[2]
PROGRAMS: Mapping[str, click.Command] = {
    "bo": bo_client.cli.main.main,
    "bo-worker": bo_worker.cli.main,
    "bo-service": bo_service.cli.main.main,
}
SHOWN = ("text", "mermaid")
"""What a program prints, and drawings: nothing to run."""
FILE_NAME = re.compile(r"# (\S+\.\w+)\n")
EXTRAS = re.compile(r"bo-service\[([\w,-]+)\]")
ADDRESS = re.compile(r"(?:127\.0\.0\.1|0\.0\.0\.0|bo\.example):50051")
SERVE = re.compile(r"\bbo(?:-service)? serve\b")
"""The command that starts a server."""
COMMAND = re.compile(r"(?:^|[;&|('$]\s*|-- |nohup |\w=\S+ )(bo|bo-worker|bo-service) (.*)")


@dataclass(frozen=True)
class Snippet:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"

    @property
    def commands(self) -> list[str]:
        """Its lines of shell, each whole."""
        return self.text.replace("\\\n", " ").splitlines()


def snippets(page: str) -> list[Snippet]:
    """Those of a page, named from the root, which aren't only shown."""
    text = (ROOT / page).read_text()
    blocks = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found = [Snippet(page, text[: b.start()].count("\n") + 1, b[1], b[2]) for b in blocks]
    return [snippet for snippet in found if snippet.language not in SHOWN]


def pages() -> list[str]:
    """All pages for people: the README and docs/."""
    return ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


class Servers:
    """Servers in a folder, over the database that the page says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []
        self.dashboard = ""
        """Where the last one's dashboard listens, if it has one."""

    def serve(self, *options: str) -> str:
        """Returns when it listens; its address."""
        options = tuple("127.0.0.1:0" if word == "127.0.0.1:8080" else word for word in options)
        storage = (
            [] if "--storage" in options or "BO_SERVICE_STORAGE" in os.environ else ["--storage", "sqlite:///bo.db"]
        )
        log = self._folder / f"server-{len(self._started)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "bo_service.cli.main", "serve", "--listen", "127.0.0.1:0", *storage, *options],
                cwd=self._folder,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self._started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), log.read_text()
        found = re.search(r"dashboard at http://(\S+)/", log.read_text())
        self.dashboard = found[1] if found else ""
        return line.split()[2]

    def stop(self) -> None:
        """All that run."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=280)
            assert process.stdout is not None
            process.stdout.close()


@dataclass
class Reader:
    """Follows one page: files are written, programs run, and what is set stays set."""

    folder: Path
    servers: Servers
    default_server: str
    """The address of an empty server, for pages that start none; "" where one must be started in the page's folder."""
    monkeypatch: pytest.MonkeyPatch
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Other texts of the page, and what stands for them here."""
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "snippet"})
    """What the page's Python has defined so far."""
    address: str = ""

    def __post_init__(self) -> None:
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        self.monkeypatch.setenv("PYTHONPATH", str(self.folder))

    def read(self, snippet: Snippet) -> str:
        """Does what the snippet says; what was printed by programs."""
        text = snippet.text
        for told, here in self.replaced.items():
            text = text.replace(told, here)
        if named := FILE_NAME.match(text):
            return self.write(named[1], text)
        if snippet.language == "bash":
            return self.shell(text)
        assert snippet.language == "python", f"{snippet} has no file name, and can't be run"
        exec(compile(self.addressed(text), str(snippet), "exec"), self.names)
        return ""

    def write(self, name: str, text: str) -> str:
        """A file, which must be what its ending says."""
        (self.folder / name).write_text(self.addressed(text) if "127.0.0.1:50051" in text else text)
        if name.endswith(".py"):
            compile(text, name, "exec")
        elif name.endswith(".yaml") and "extends:" not in text:
            specfile.load(self.folder / name)
        return ""

    def shell(self, text: str) -> str:
        """Lines of shell; servers among them are started and stay."""
        told, waiting = "", []
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if SERVE.search(line) else []
            if "serve" in words:
                told += self.bash(waiting)
                waiting = []
                self.start(words)
            elif not line.startswith("pip install"):
                waiting.append(line)
        return told + self.bash(waiting)

    def start(self, words: list[str]) -> None:
        """`bo serve` with the options that the page gives it, on a free port, in place of an earlier one."""
        self.servers.stop()
        at = words.index("serve")
        for word in words[: at - 1]:
            self.monkeypatch.setenv(*word.split("=", 1))
        options = words[at + 1 :]
        if "--listen" in options:
            del options[options.index("--listen") : options.index("--listen") + 2]
        self.address = self.servers.serve(*options)
        self.monkeypatch.setenv("BO_SERVER", self.address)

    def addressed(self, text: str) -> str:
        """With the real server's address; the default's where the page has none, and opens no database itself."""
        if not self.address and "bo_client.local(" not in text:
            if self.default_server:
                self.address = self.default_server
                self.monkeypatch.setenv("BO_SERVER", self.address)
            else:
                self.start(["bo-service", "serve"])
        if self.servers.dashboard:
            text = text.replace("127.0.0.1:8080", self.servers.dashboard)
        port = self.address.rpartition(":")[2]
        return ADDRESS.sub(lambda m: f"localhost:{port}" if m[0].startswith("bo.") else self.address, text)

    def bash(self, lines: list[str]) -> str:
        """Runs them; variables that they set are there for those that follow."""
        text = "\n".join(lines)
        if not text.strip():
            return ""
        if (
            ADDRESS.search(text)
            or ":8080" in text
            or any(used[1] != "bo-service" for used in map(COMMAND.search, lines) if used)
        ):
            text = self.addressed(text)
        kept = self.folder / ".environment"
        done = subprocess.run(
            ["bash", "-aeuo", "pipefail", "-c", f"{text}\nenv -0 > {shlex.quote(str(kept))}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        for setting in kept.read_bytes().decode().split("\0")[:-1]:
            name, _, value = setting.partition("=")
            if name not in ("_", "SHLVL", "PWD", "OLDPWD") and os.environ.get(name) != value:
                self.monkeypatch.setenv(name, value)
        return done.stdout


def unknown(snippet: Snippet) -> Iterator[str]:
    """Extras, commands and options of ours in it that don't exist, also where it isn't run."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for names in EXTRAS.findall(snippet.text):
        yield from (f"{snippet}: there is no extra {name}" for name in names.split(",") if name not in extras)
    for line in snippet.commands if snippet.language in ("bash", "console") else ():
        if used := COMMAND.search(line):
            yield from (f"{snippet}: {reason}" for reason in misused(used[1], used[2]))


def misused(program: str, line: str) -> Iterator[str]:
    """What click has against the command's options; values aren't looked at."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("();<>|&"):
            break
        words.append(word)
    command, context = PROGRAMS[program], None
    while True:
        context = click.Context(command, parent=context, info_name=program)
        try:
            _, words, _ = command.make_parser(context).parse_args(words)
        except click.UsageError as error:
            yield error.format_message()
            return
        if not isinstance(command, click.Group) or not words:
            return
        child = command.get_command(context, words[0])
        if child is None:
            yield f"{program} has no command {words[0]}"
            return
        command, words = child, words[1:]
