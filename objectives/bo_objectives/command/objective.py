"""The objective `command`: any program, with parameters in its arguments and metrics on its standard output."""

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
from bo_objectives.command.process import CommandProcess
from bo_objectives.errors import SetupError

PREFIX = "BO_PARAM_"
SEARCHED_BYTES = 1 << 16
"""Bytes at the end of a program's output that are searched for the reason of its failure."""
USAGE = "--space FILE and, after --, the program: bo-worker run … --space space.yaml -- python train.py {lr}"


class CommandObjective:
    """Any program, with parameters in its arguments and its metrics as JSON lines.

    `{name}` in an argument is replaced by the parameter's value. Where this trial doesn't have that parameter, the
    argument is left out, and with it the option before it: see `templates`. In the environment are BO_PARAM_<NAME> of
    each parameter, BO_PARAMETERS (all of them as JSON), BO_TRIAL_NUMBER, BO_ATTEMPT, BO_CHECKPOINT_URI, BO_UNTIL_STEP
    (empty if the trial is trained to its end in one go) and BO_TRIAL_DIRECTORY, which also holds stdout.log and
    stderr.log. A program with `{checkpoint}` and `{until_step}` in its arguments can be trained in parts: it resumes
    from the checkpoint if it gets one, trains up to the step, prints its metrics and a checkpoint_uri, and ends.
    `json_lines` tells what may be printed.

    Options: `space`, a file as in `bo_client.specfile`; `timeout`, seconds that a trial may take; `grace`, seconds from
    SIGTERM to SIGKILL for a program that has to end.

    Raises:
        SetupError: an option or the program is missing or malformed.
    """

    def __init__(self, space: str = "", program: Sequence[str] = (), timeout: str = "", grace: str = "10") -> None:
        """Check the options.

        Args:
            space: path of the file with the search space and the metrics.
            program: the program and its arguments.
            timeout: maximum seconds of a trial; empty for no limit.
            grace: seconds from SIGTERM to SIGKILL.

        Raises:
            SetupError: an option is missing or malformed.
        """
        if isinstance(program, str):
            raise SetupError(f"option program cannot be a single text; give {USAGE}")
        if not space or not program or not program[0]:
            raise SetupError(f"objective command needs the {'program' if space else 'space'}: give {USAGE}")
        self.space = space
        self.program = tuple(program)
        self.timeout = _seconds("timeout", timeout) if timeout else None
        self.grace = _seconds("grace", grace)

    def define(self) -> Definition:
        """Return the search space and the metrics in the file.

        Raises:
            SetupError: the file is invalid, an argument uses an unknown parameter, or the program does not exist.
        """
        _check_names(self._file)
        templates.check(self.program, self._file.space)
        if not templates.has_names(self.program[0]) and shutil.which(templates.fill(self.program[:1], {})[0]) is None:
            raise SetupError(_not_found(self.program[0]))
        return Definition(
            self._file.space,
            self._file.metrics,
            options={"program": shlex.join(self.program)},
            can_resume=templates.trains_in_parts(self.program, self._file.space),
        )

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Run the program to its end, and report its metrics.

        A program that is trained in parts is run again from its checkpoint for as long as the trial goes on.

        Args:
            parameters: values of the active parameters.
            run: the trial.

        Returns:
            The final metrics by name.

        Raises:
            TrialFailed: the reason that the program printed; DIVERGED for a result that is not finite; TIMEOUT; for an
                exit code other than 0 or a missing result OUT_OF_MEMORY if the output or the kernel reports it, else
                CRASHED; CRASHED for a malformed result.
            SetupError: the program cannot be started.
        """
        checkpoint = run.checkpoint_uri
        while True:
            reader = self._run(parameters, run, checkpoint)
            until_step = reader.until_step
            reader.report_held()
            is_done = until_step is None or run.until_step is None or run.until_step <= max(until_step, reader.step)
            if is_done:
                return self._checked(reader.result, run)
            if not reader.checkpoint_uri:
                raise TrialFailed(
                    FailureReason.CRASHED,
                    f"{self.program[0]} ended at step {reader.step} without a checkpoint; print "
                    f'{{"step": {reader.step}, "checkpoint_uri": …}} before it ends; its output is in {_logs(run)}',
                )
            checkpoint = reader.checkpoint_uri

    def _run(self, parameters: Mapping[str, Value], run: Run, checkpoint: str) -> "_OutputReader":
        """Run the program once, from a checkpoint or from the beginning."""
        until_step = run.until_step
        argv = templates.fill(self.program, parameters, checkpoint, until_step)
        kills = MemoryKills()
        held_from = until_step if templates.trains_in_parts(self.program, self._file.space) else None
        reader = _OutputReader(run, tuple(m.name for m in self._file.metrics), held_from)
        try:
            program = CommandProcess(argv, _environment(parameters, run, checkpoint), run.directory, self.grace)
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            is_missing = shutil.which(argv[0]) is None  # else its interpreter may be: the system tells both alike
            raise SetupError(
                _not_found(argv[0]) if is_missing else f"program {argv[0]!r} can't be run: {error}"
            ) from error
        with program:
            try:
                for line in program.lines(self.timeout):
                    reader.read_line(line)
            except TimeoutError:
                raise TrialFailed(
                    FailureReason.TIMEOUT, f"{argv[0]} still ran after {self.timeout:g} s, the option timeout"
                ) from None
            except TrialFailed:
                program.linger()
                raise
            _check_end(argv[0], program, run, kills)
            if not reader.result and (failure := _failure_in_output(program)) is not None:
                raise TrialFailed(failure.reason, f"{argv[0]} printed no metrics; {failure.message}")
        return reader

    @cached_property
    def _file(self) -> specfile.StudyFile:
        try:
            return specfile.load(self.space)
        except bo_client.InvalidRequest as error:
            raise SetupError(str(error)) from error

    def _checked(self, result: Mapping[str, float], run: Run) -> Mapping[str, float]:
        """Return the finite metrics of the result.

        Raises:
            TrialFailed: a required metric is missing or not finite.
        """
        needed = [m.name for m in self._file.metrics if m.role != "information"]
        if not result:
            example = json.dumps({"step": 1, **dict.fromkeys(needed, 0.5)})
            message = f"succeeded but printed no metrics; it must print a line such as {example} on standard output"
            raise TrialFailed(FailureReason.CRASHED, f"{self.program[0]} {message}; its output is in {_logs(run)}")
        missing = [name for name in needed if name not in result]
        if missing:
            raise TrialFailed(
                FailureReason.CRASHED,
                f"the last metrics that {self.program[0]} printed lack {', '.join(missing)}: they are "
                f"{json.dumps(dict(result))}; print all of a step's metrics in one line",
            )
        non_finite = [
            f"{name} is {value}" for name, value in result.items() if not math.isfinite(value) and name in needed
        ]
        if non_finite:
            raise TrialFailed(FailureReason.DIVERGED, f"the final {', '.join(non_finite)}")
        return {name: value for name, value in result.items() if math.isfinite(value)}


@dataclass
class _OutputReader:
    """The state of a trial while its output is read."""

    run: Run
    declared: Sequence[str]
    until_step: int | None = None
    """The step whose report is held until the program has ended, as it may print its checkpoint after the metrics."""
    step: int = 0
    point: Mapping[str, float] = field(default_factory=dict)
    """The metrics reported for `step`."""
    latest: Mapping[str, float] = field(default_factory=dict)
    final: Mapping[str, float] | None = None
    checkpoint_uri: str = ""
    """The last that was printed."""
    is_held: bool = False
    """Whether the present step isn't reported yet."""

    @property
    def result(self) -> Mapping[str, float]:
        return self.latest if self.final is None else self.final

    def read_line(self, line: str) -> None:
        """Process a line, and report its metrics.

        Raises:
            TrialFailed: the line reports a failure.
            StopTrial: the trial should end.
        """
        parsed = json_lines.parse_line(line, self.declared)
        if parsed is None:
            return
        if parsed.failure is not None:
            raise parsed.failure
        if parsed.is_final:
            self.final = parsed.metrics
            return
        is_point = bool(parsed.metrics) and parsed.step is not None
        if is_point and parsed.step != self.step:
            self.report_held()
        self.checkpoint_uri = parsed.checkpoint_uri or self.checkpoint_uri
        if is_point or not self.point:
            self._move(parsed)
        if parsed.metrics:
            self.latest = self.point if is_point else parsed.metrics
        if is_point or parsed.checkpoint_uri:
            # A report replaces what its step had, so a checkpoint alone brings the step's metrics along.
            self.is_held = self.until_step is not None and self.step >= self.until_step
            if not self.is_held:
                self.run.report(self.step, self.point, parsed.checkpoint_uri)
            elif parsed.checkpoint_uri:
                self.run.report(self.step, {}, parsed.checkpoint_uri)  # at once, as the worker may be killed

    def report_held(self) -> None:
        """Report the step that was held, with the last checkpoint.

        Raises:
            StopTrial: the trial should end.
            PauseTrial: the trial should pause.
        """
        if self.is_held:
            self.is_held = False
            self.run.report(self.step, self.point, self.checkpoint_uri)

    def _move(self, parsed: json_lines.ParsedLine) -> None:
        """Move to the line's point of the curve; lines of the same step are merged."""
        step = parsed.step or 0
        earlier = self.point if step == self.step else {}
        self.step, self.point = step, {**earlier, **(parsed.metrics if parsed.step is not None else {})}


def _environment(parameters: Mapping[str, Value], run: Run, checkpoint: str) -> dict[str, str]:
    """Return the program's environment, without the parameters of a trial in which this worker itself runs."""
    kept_back = (PREFIX, "BO_TOKEN")  # the worker's token is not the program's
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(kept_back)}
    return {
        "PYTHONUNBUFFERED": "1",  # so that Python's prints arrive when they are made
        **inherited,
        **{_variable(name): templates.text(value) for name, value in parameters.items()},
        "BO_PARAMETERS": json.dumps(dict(parameters)),
        "BO_TRIAL_NUMBER": str(run.number),
        "BO_ATTEMPT": str(run.attempt),
        "BO_CHECKPOINT_URI": checkpoint,
        "BO_UNTIL_STEP": "" if run.until_step is None else str(run.until_step),
        "BO_TRIAL_DIRECTORY": str(run.directory.absolute()),
    }


def _variable(name: str) -> str:
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def _check_names(file: specfile.StudyFile) -> None:
    """Check that the names can be told apart as environment variables.

    Raises:
        SetupError: two names are equal there, or a metric has a reserved name.
    """
    parameter_by_variable: dict[str, str] = {}
    for name in file.space.names:
        other = parameter_by_variable.setdefault(_variable(name), name)
        if other != name:
            raise SetupError(f"parameters {other} and {name} would both be {_variable(name)}; rename one")
    for metric in file.metrics:
        if metric.name in json_lines.RESERVED:
            raise SetupError(f"metric {metric.name}: this key is reserved in JSON lines; rename it")


def _check_end(name: str, program: CommandProcess, run: Run, kills: MemoryKills) -> None:
    """Check that the program succeeded.

    Raises:
        TrialFailed: it did not.
    """
    code = program.exit_code
    if not code:
        return
    failure = _failure_in_output(program)
    description = _describe_exit(code)
    reason = FailureReason.CRASHED if failure is None else failure.reason
    if failure is not None:
        description += f" after {failure.message}"
    elif _signal(code) == signal.SIGKILL:
        is_kernels, why = killed(kills)
        reason = FailureReason.OUT_OF_MEMORY if is_kernels else reason
        description += f", {why}"
    errors = program.last_errors()
    tail = f"standard error ends:\n{errors}" if errors else "nothing on standard error"
    raise TrialFailed(reason, f"{name} {description}; all output is in {_logs(run)}; {tail}")


def _failure_in_output(program: CommandProcess) -> Failure | None:
    """Return the failure that the program's output reports, if any."""
    return failure_in(program.last_errors(SEARCHED_BYTES)) or failure_in(program.last_output(SEARCHED_BYTES))


def _signal(code: int) -> int:
    """Return the signal that ended a program or its child, which a shell reports as 128 + signal."""
    return -code if code < 0 else code - 128


def _describe_exit(code: int) -> str:
    """Describe an exit code."""
    if _signal(code) == signal.SIGKILL:
        return f"was killed by SIGKILL (exit code {code})"
    return f"was killed by signal {_signal(code)}" if code < 0 else f"ended with exit code {code}"


def _logs(run: Run) -> str:
    return f"{run.directory}/stdout.log and stderr.log"


def _not_found(name: str) -> str:
    return f"program {name!r} cannot be found or executed; give its path, install it, or make it executable"


def _seconds(option: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise SetupError(f"option {option} is {text!r}; it must be a number of seconds above 0")
    return number
