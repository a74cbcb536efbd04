"""Any program as an objective: parameters in its arguments and environment, metrics from its standard output."""

import json
import math
import os
import re
import shlex
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import bo_client
from bo_client import Failure, FailureReason, Value, specfile
from bo_client.failures import failure_in
from bo_client.out_of_memory import MemoryKills, killed

from bo_objectives.base import Definition, Run, TrialFailed
from bo_objectives.command import json_lines, templates
from bo_objectives.command.process import Program
from bo_objectives.errors import SetupError

PREFIX = "BO_PARAM_"
READ = 1 << 16
"""Bytes of a program's output in which the reason of its failure is looked for."""
USAGE = "--space FILE and, after --, the program: bo-worker run … --space space.yaml -- python train.py {lr}"


class CommandObjective:
    """Runs any program, with parameters in its arguments, and reads its metrics as JSON lines.

    `{name}` in an argument is replaced by the parameter's value. Where this trial doesn't have that parameter, the
    argument is left out, and with it the option before it: see `templates`. In the environment are BO_PARAM_<NAME> of
    each parameter, BO_PARAMETERS (all of them as JSON), BO_TRIAL_NUMBER, BO_ATTEMPT, BO_CHECKPOINT_URI and
    BO_TRIAL_DIRECTORY, which also holds stdout.log and stderr.log.
    `json_lines` tells what may be printed.

    Options: `space`, a file as in `bo_client.specfile`; `timeout`, seconds that a trial may take; `grace`, seconds from
    SIGTERM to SIGKILL for a program that has to end.

    Raises:
        SetupError: an option or the program is missing or malformed.
    """

    def __init__(self, space: str = "", program: Sequence[str] = (), timeout: str = "", grace: str = "10") -> None:
        if isinstance(program, str):
            raise SetupError(f"option program can't be given as one text; give {USAGE}")
        if not space or not program or not program[0]:
            raise SetupError(f"objective command needs the {'program' if space else 'space'}: give {USAGE}")
        self.space = space
        self.program = tuple(program)
        self.timeout = _seconds("timeout", timeout) if timeout else None
        self.grace = _seconds("grace", grace)

    def define(self) -> Definition:
        """What the file says.

        Raises:
            SetupError: the file is faulty, an argument asks for a parameter that it lacks, or there is no such program.
        """
        _check_names(self._file)
        templates.check(self.program, self._file.space)
        if not templates.has_names(self.program[0]) and shutil.which(templates.filled(self.program[:1], {})[0]) is None:
            raise SetupError(_not_found(self.program[0]))
        return Definition(self._file.space, self._file.metrics, options={"program": shlex.join(self.program)})

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Runs the program to its end, reporting as it goes.

        Raises:
            TrialFailed: the reason that the program printed; DIVERGED for a result that isn't finite; TIMEOUT; for an
                exit code other than 0 and for a missing result OUT_OF_MEMORY where the program's output or the kernel
                says that memory ran out, else CRASHED; CRASHED for a malformed result.
            SetupError: the program can't be started.
        """
        argv = templates.filled(self.program, parameters)
        kills = MemoryKills()
        course = _Course(run, tuple(m.name for m in self._file.metrics))
        try:
            program = Program(argv, _environment(parameters, run), run.directory, self.grace)
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            absent = shutil.which(argv[0]) is None  # else its interpreter may be: the system tells both alike
            raise SetupError(_not_found(argv[0]) if absent else f"program {argv[0]!r} can't be run: {error}") from error
        with program:
            try:
                for line in program.lines(self.timeout):
                    course.hear(line)
            except TimeoutError:
                raise TrialFailed(
                    FailureReason.TIMEOUT, f"{argv[0]} still ran after {self.timeout:g} s, the option timeout"
                ) from None
            except TrialFailed:
                program.linger()
                raise
            _check_end(argv[0], program, run, kills)
            if not course.result and (told := _told(program)) is not None:
                raise TrialFailed(told.reason, f"{argv[0]} printed no metrics; {told.message}")
        return self._checked(course.result, run)

    @cached_property
    def _file(self) -> specfile.StudyFile:
        try:
            return specfile.load(self.space)
        except bo_client.InvalidRequest as error:
            raise SetupError(str(error)) from error

    def _checked(self, result: Mapping[str, float], run: Run) -> Mapping[str, float]:
        """Raises TrialFailed where a metric is missing or not finite."""
        needed = [m.name for m in self._file.metrics if m.role != "information"]
        if not result:
            example = json.dumps({"step": 1, **dict.fromkeys(needed, 0.5)})
            said = f"ended well but printed no metrics; it must print a line such as {example} on standard output"
            raise TrialFailed(FailureReason.CRASHED, f"{self.program[0]} {said}; what it did print is in {_logs(run)}")
        missing = [name for name in needed if name not in result]
        if missing:
            raise TrialFailed(
                FailureReason.CRASHED,
                f"the last metrics that {self.program[0]} printed lack {', '.join(missing)}: they are "
                f"{json.dumps(dict(result))}; print all of a step's metrics in one line",
            )
        wild = [f"{name} is {value}" for name, value in result.items() if not math.isfinite(value) and name in needed]
        if wild:
            raise TrialFailed(FailureReason.DIVERGED, f"the final {', '.join(wild)}")
        return {name: value for name, value in result.items() if math.isfinite(value)}


@dataclass
class _Course:
    """A trial as it is told, line by line."""

    run: Run
    declared: Sequence[str]
    step: int = 0
    point: Mapping[str, float] = field(default_factory=dict)
    """What was reported for `step`."""
    latest: Mapping[str, float] = field(default_factory=dict)
    final: Mapping[str, float] | None = None

    @property
    def result(self) -> Mapping[str, float]:
        return self.latest if self.final is None else self.final

    def hear(self, line: str) -> None:
        """Passes on what the line says. Raises TrialFailed, StopTrial."""
        said = json_lines.understood(line, self.declared)
        if said is None:
            return
        if said.failure is not None:
            raise said.failure
        if said.is_final:
            self.final = said.metrics
            return
        is_point = bool(said.metrics) and said.step is not None
        if is_point or not self.point:
            self._move(said)
        if said.metrics:
            self.latest = self.point if is_point else said.metrics
        if is_point or said.checkpoint_uri:
            # A report replaces what its step had, so a checkpoint alone brings the step's metrics along.
            self.run.report(self.step, self.point, said.checkpoint_uri)

    def _move(self, said: json_lines.Said) -> None:
        """To the line's point of the curve; lines of the same step are taken together."""
        step = said.step or 0
        earlier = self.point if step == self.step else {}
        self.step, self.point = step, {**earlier, **(said.metrics if said.step is not None else {})}


def _environment(parameters: Mapping[str, Value], run: Run) -> dict[str, str]:
    """Ours, without the parameters of a trial that this worker itself may be running in."""
    kept_back = (PREFIX, "BO_TOKEN")  # the worker's token is not the program's
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(kept_back)}
    return {
        "PYTHONUNBUFFERED": "1",  # so that Python's prints arrive when they are made
        **inherited,
        **{_variable(name): templates.text(value) for name, value in parameters.items()},
        "BO_PARAMETERS": json.dumps(dict(parameters)),
        "BO_TRIAL_NUMBER": str(run.number),
        "BO_ATTEMPT": str(run.attempt),
        "BO_CHECKPOINT_URI": run.checkpoint_uri,
        "BO_TRIAL_DIRECTORY": str(run.directory.absolute()),
    }


def _variable(name: str) -> str:
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def _check_names(file: specfile.StudyFile) -> None:
    """Raises SetupError for names that a program couldn't tell apart."""
    taken: dict[str, str] = {}
    for name in file.space.names:
        other = taken.setdefault(_variable(name), name)
        if other != name:
            raise SetupError(f"parameters {other} and {name} would both be {_variable(name)}; rename one")
    for metric in file.metrics:
        if metric.name in json_lines.RESERVED:
            raise SetupError(f"metric {metric.name}: this key has a meaning of its own in JSON lines; rename it")


def _check_end(name: str, program: Program, run: Run, kills: MemoryKills) -> None:
    """Raises TrialFailed unless the program has ended well."""
    code = program.exit_code
    if not code:
        return
    told = _told(program)
    how = _ended(code)
    reason = FailureReason.CRASHED if told is None else told.reason
    if told is not None:
        how += f" after {told.message}"
    elif _signal(code) == signal.SIGKILL:
        is_kernels, why = killed(kills)
        reason = FailureReason.OUT_OF_MEMORY if is_kernels else reason
        how += f", {why}"
    errors = program.last_errors()
    tail = f"standard error ends:\n{errors}" if errors else "nothing on standard error"
    raise TrialFailed(reason, f"{name} {how}; all output is in {_logs(run)}; {tail}")


def _told(program: Program) -> Failure | None:
    """Why the program failed, where its output says so."""
    return failure_in(program.last_errors(READ)) or failure_in(program.last_output(READ))


def _signal(code: int) -> int:
    """The signal that ended a program, or its child: a shell tells of that as 128 + the signal."""
    return -code if code < 0 else code - 128


def _ended(code: int) -> str:
    """In words."""
    if _signal(code) == signal.SIGKILL:
        return f"was killed by SIGKILL (exit code {code})"
    return f"was killed by signal {_signal(code)}" if code < 0 else f"ended with exit code {code}"


def _logs(run: Run) -> str:
    return f"{run.directory}/stdout.log and stderr.log"


def _not_found(name: str) -> str:
    return f"there is no program {name!r} that can be run here; give its path, or install it, or make it executable"


def _seconds(option: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise SetupError(f"option {option} is {text!r}; it must be a number of seconds above 0")
    return number
