"""Functions in a user's Python file that replace a part of the training: the head, or the optimizer and the loss.

    head(features, classes, parameters) -> logits
    compile(model, parameters, steps) -> {"optimizer": …, "loss": …}

This module needs no Keras, so that a file that cannot be read is reported at once. `user_code_check` calls the
functions, in a process of its own, before a study is created.
"""

import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bo_objectives.errors import SetupError

HEAD, COMPILE = "head", "compile"
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    HEAD: ("features", "classes", "parameters"),
    COMPILE: ("model", "parameters", "steps"),
}
"""The positional arguments of each function, by option."""

CHECK = "bo_objectives.efficientnet.user_code_check"
MAX_QUOTED = 600
"""Characters of a failed check's output that a message quotes."""


@dataclass(frozen=True)
class UserFunction:
    """A function in a file, as the option `option` names it. The content is that of the file when it was read."""

    option: str
    path: Path
    name: str
    content: bytes = field(repr=False)

    @classmethod
    def of(cls, option: str, text: str) -> "UserFunction | None":
        """Return the function that FILE.py:FUNCTION names, without running the file; None for an empty text.

        Raises:
            SetupError: the text has another form, or the file cannot be read.
        """
        if not text:
            return None
        file, _, name = text.rpartition(":")
        if not file or not name.isidentifier():
            raise SetupError(
                f"option {option} is {text!r}; it must be FILE.py:FUNCTION, such as {option}=training.py:{option}"
            )
        path = Path(file).expanduser()
        try:
            return cls(option, path, name, path.read_bytes())
        except OSError as error:
            raise SetupError(
                f"option {option} is {text!r}, and {file} can't be read ({error.strerror}); give the path of a Python "
                "file"
            ) from error

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def contents(self) -> str:
        """The function's name and the file's hash, which are the same in every worker of a study."""
        return f"{self.name} in sha256 {self.sha256}"

    def load(self) -> Callable[..., Any]:
        """Run the file, once in a process, and return the function.

        Raises:
            SetupError: the file fails, lacks the function, or the function takes other arguments.
        """
        try:
            module = _run(str(self.path), self.content)
        except (Exception, SystemExit) as error:
            raise SetupError(f"option {self.option}: {self.path} can't be run: {_described(error)}") from error
        function = getattr(module, self.name, None)
        if not callable(function):
            names = sorted(n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__)
            raise SetupError(
                f"option {self.option}: {self.path} has no function {self.name!r}; it has {', '.join(names) or 'none'}"
            )
        _check_arguments(self, function)
        return function

    def call(self, *arguments: object) -> Any:
        """Call the function.

        Raises:
            SetupError: as `load`, or the function raises an exception.
        """
        function = self.load()
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:
            raise self.wrong(f"raised {_described(error)}{_place(error, self.path)}") from error

    def wrong(self, what: str) -> SetupError:
        """Return an error that says what the function did."""
        return SetupError(f"option {self.option}: {self.name} in {self.path} {what}")


def check(options: Mapping[str, str], functions: tuple[UserFunction, ...]) -> None:
    """Build the head and train one step with the functions, in a process that sees no GPU.

    Args:
        options: the objective's options.
        functions: the functions that they name.

    Raises:
        SetupError: a function fails, or what it returns cannot be trained, saved or loaded.
    """
    if not functions:
        return
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = {**os.environ, **hidden, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory(prefix="bo-objectives-") as folder:
        answer = Path(folder) / "answer"
        ended = subprocess.run(  # noqa: S603  the user's own file
            [sys.executable, "-m", CHECK, json.dumps(dict(options)), str(answer)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        message = answer.read_text("utf-8") if answer.exists() else None
    if message is None:
        names = " and ".join(f.option for f in functions)
        raise SetupError(
            f"the check of option {names} ended with exit code {ended.returncode}: {ended.stderr[-MAX_QUOTED:].strip()}"
        )
    if message:
        raise SetupError(message)


@lru_cache(16)
def _run(path: str, content: bytes) -> ModuleType:
    """Run a file as a module of its own, whose classes can be found by name."""
    module = ModuleType(f"bo_objectives_user_{hashlib.sha256(content).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(content, path, "exec"), vars(module))  # noqa: S102  the user's own file
    return module


def _check_arguments(function: UserFunction, target: Callable[..., Any]) -> None:
    names = ARGUMENTS[function.option]
    try:
        signature = inspect.signature(target)
    except ValueError:  # some classes written in C tell no signature
        return
    try:
        signature.bind(*names)
    except TypeError:
        raise function.wrong(f"takes {signature}; it must take ({', '.join(names)})") from None


def _described(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException, path: Path) -> str:
    """Return the last line of the file that the exception passed."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            place = f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
