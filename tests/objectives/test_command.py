"""Programs as objectives, run for real: small scripts of this interpreter and of the shell."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bo_client import FailureReason, PauseTrial, StopTrial, out_of_memory
from bo_objectives.base import TrialFailed
from bo_objectives.command import process, templates
from bo_objectives.command.objective import CommandObjective
from bo_objectives.errors import SetupError

SPACE = """
parameters:
  lr: {type: float, low: 1.0e-5, high: 0.1, scale: log}
  optimizer: {type: categorical, values: [adam, sgd]}
  momentum: {type: float, low: 0.0, high: 0.99, when: {optimizer: [sgd]}}
  head.dropout: {type: float, low: 0.0, high: 0.5}
  nesterov: {type: categorical, values: [true, false]}
metrics: {loss: minimize, accuracy: information}
"""
PARAMETERS = {"lr": 1e-05, "optimizer": "adam", "head.dropout": 0.25, "nesterov": True}
GOOD = "import json; print(json.dumps({'step': 1, 'loss': 0.5}))"


@pytest.fixture
def space(tmp_path: Path) -> str:
    (tmp_path / "space.yaml").write_text(SPACE)
    return str(tmp_path / "space.yaml")


@pytest.fixture
def python(space: str) -> Callable[..., CommandObjective]:
    """An objective that runs Python code with arguments."""

    def make(code: str, *arguments: str, **options: str) -> CommandObjective:
        head = "import json, os, signal, sys, time\ndef say(**line): print(json.dumps(line))\n"
        literal = (head + code).replace("{", "{{").replace("}", "}}")
        return CommandObjective(space, [sys.executable, "-S", "-c", literal, *arguments], **options)

    return make


def failure(objective: CommandObjective, run) -> TrialFailed:
    with pytest.raises(TrialFailed) as caught:
        objective.evaluate(PARAMETERS, run)
    return caught.value


def is_running(pid: int) -> bool:
    """Zombies, which nobody may reap here, have ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_file_defines_the_study(space: str) -> None:
    definition = CommandObjective(space, ["sh"]).define()
    assert definition.space.names == ("lr", "optimizer", "momentum", "head.dropout", "nesterov")
    assert [(m.name, m.goal, m.role) for m in definition.metrics] == [
        ("loss", "minimize", "objective"),
        ("accuracy", None, "information"),
    ]


def test_values_arrive_in_arguments(python, run) -> None:
    objective = python(
        "say(loss=1.0); open(os.environ['BO_TRIAL_DIRECTORY'] + '/argv', 'w').write(json.dumps(sys.argv[1:]))",
        "--lr={lr}", "{optimizer}", "[{momentum}]", "{head.dropout}{nesterov}", "{{lr}} }}", "; $HOME *",
    )  # fmt: skip
    objective.define()
    assert objective.evaluate(PARAMETERS, run) == {"loss": 1.0}
    given = json.loads((run.directory / "argv").read_text())
    assert given == ["--lr=1e-05", "adam", "0.25true", "{lr} }", "; $HOME *"]


@pytest.mark.parametrize(
    ("given", "without", "with_it"),
    [
        ("--lr {lr} --momentum {momentum} --epochs 3", "--lr 1e-05 --epochs 3", "--lr 1e-05 --momentum 0.9 --epochs 3"),
        ("--momentum {momentum}", "", "--momentum 0.9"),
        ("-m {momentum} -v", "-v", "-m 0.9 -v"),
        ("--momentum={momentum} x", "x", "--momentum=0.9 x"),
        ("-m{momentum} x", "x", "-m0.9 x"),
        ("lr={lr} +opt.momentum={momentum} a=1", "lr=1e-05 a=1", "lr=1e-05 +opt.momentum=0.9 a=1"),
        ("-o lr={lr} -o momentum={momentum}", "-o lr=1e-05", "-o lr=1e-05 -o momentum=0.9"),
        ("--set lr={lr} momentum={momentum}", "--set lr=1e-05", "--set lr=1e-05 momentum=0.9"),
        ("--betas {momentum} {momentum} -v", "-v", "--betas 0.9 0.9 -v"),
        ("--betas={momentum},{momentum}", "", "--betas=0.9,0.9"),
        ("--verbose=1 {momentum} y", "--verbose=1 y", "--verbose=1 0.9 y"),
        ("-1 {momentum} -- {momentum} - {momentum}", "-1 -- -", "-1 0.9 -- 0.9 - 0.9"),
        ("SOLVER.LR {lr} {momentum?}SOLVER.M {momentum}", "SOLVER.LR 1e-05", "SOLVER.LR 1e-05 SOLVER.M 0.9"),
        ("{momentum?}--nesterov --lr {lr}", "--lr 1e-05", "--nesterov --lr 1e-05"),
        ("{lr?}--lr {lr}", "--lr 1e-05", "--lr 1e-05"),
        ("--momentum {momentum} data.csv", "data.csv", "--momentum 0.9 data.csv"),
        ("-m {momentum} data.csv {momentum} -v", "data.csv -v", "-m 0.9 data.csv 0.9 -v"),
        ("--betas {momentum} {momentum} a b {lr}", "a b 1e-05", "--betas 0.9 0.9 a b 1e-05"),
        ("--set momentum={momentum} lr={lr} a", "--set lr=1e-05 a", "--set momentum=0.9 lr=1e-05 a"),
        ("--input data.csv {momentum}", "--input data.csv", "--input data.csv 0.9"),
        ("-m {momentum?}sgd data.csv", "data.csv", "-m sgd data.csv"),
    ],
)
def test_an_argument_whose_parameter_is_absent_is_left_out_with_its_option(
    space: str, given: str, without: str, with_it: str
) -> None:
    program = ("train", *given.split())
    CommandObjective(space, ("sh", *program)).define()
    assert templates.fill(program, PARAMETERS) == ["train", *without.split()]
    assert templates.fill(program, {**PARAMETERS, "momentum": 0.9}) == ["train", *with_it.split()]


@pytest.mark.parametrize("argument", ["{lr},{momentum}", '--p={{"lr": {lr}, "m": {momentum}}}', "{lr?}{momentum}"])
def test_an_argument_of_which_a_part_would_be_absent_is_refused(space: str, argument: str) -> None:
    with pytest.raises(SetupError, match=r"momentum is not in every trial that has the others.*BO_PARAMETERS"):
        CommandObjective(space, ["sh", argument]).define()


def test_a_program_whose_name_would_be_absent_is_refused(space: str) -> None:
    with pytest.raises(SetupError, match="asks for momentum, which not every trial has"):
        CommandObjective(space, ["run-{momentum}"]).define()


def test_a_real_parser_takes_what_is_left(python, run) -> None:
    code = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float)
parser.add_argument('--momentum', type=float, default=0.0)
given = parser.parse_args()
say(loss=given.lr + given.momentum)
"""
    objective = python(code, "--momentum", "{momentum}", "--lr", "{lr}")
    assert objective.evaluate(PARAMETERS, run) == {"loss": 1e-05}
    assert objective.evaluate({**PARAMETERS, "momentum": 1.0}, run) == {"loss": 1.00001}


def test_values_arrive_in_the_environment(python, make_run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BO_PARAM_MOMENTUM", "of another trial")
    monkeypatch.setenv("UNRELATED", "kept")
    run = make_run(number=12, attempt=3, checkpoint_uri="file:///c/3")
    code = "say(loss=1); json.dump(dict(os.environ), open(os.environ['BO_TRIAL_DIRECTORY'] + '/env', 'w'))"
    python(code).evaluate(PARAMETERS, run)
    given = json.loads((run.directory / "env").read_text())
    assert json.loads(given["BO_PARAMETERS"]) == PARAMETERS
    assert {name: value for name, value in given.items() if name.startswith("BO_PARAM_")} == {
        "BO_PARAM_LR": "1e-05",
        "BO_PARAM_OPTIMIZER": "adam",
        "BO_PARAM_HEAD_DROPOUT": "0.25",
        "BO_PARAM_NESTEROV": "true",
    }
    assert (given["BO_TRIAL_NUMBER"], given["BO_ATTEMPT"]) == ("12", "3")
    assert given["BO_CHECKPOINT_URI"] == "file:///c/3"
    assert given["BO_TRIAL_DIRECTORY"] == str(run.directory)
    assert given["UNRELATED"] == "kept"


def test_it_runs_in_the_current_directory(python, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").write_text("0.25")
    monkeypatch.chdir(tmp_path)
    assert python("say(loss=float(open('here').read()))").evaluate(PARAMETERS, run) == {"loss": 0.25}


def test_the_curve_is_reported_while_the_program_runs(python, make_run) -> None:
    """It waits for a file that comes with the first report, and would time out without it."""
    run = make_run()
    code = """
say(step=0, loss=2.0)
while not os.path.exists(os.environ['BO_TRIAL_DIRECTORY'] + '/seen'): time.sleep(0.01)
say(step=1, loss=1.0, accuracy=0.5)
"""
    keep = run.report

    def report(step, metrics, checkpoint_uri="") -> None:
        keep(step, metrics, checkpoint_uri)
        (run.directory / "seen").touch()

    run.report = report
    assert python(code, timeout=str(LONG)).evaluate(PARAMETERS, run) == {"loss": 1.0, "accuracy": 0.5}
    assert run.reports == [(0, {"loss": 2.0}, ""), (1, {"loss": 1.0, "accuracy": 0.5}, "")]


def test_final_wins_over_the_last_point(python, run) -> None:
    code = "say(step=1, loss=2.0); say(final={'loss': 0.5, 'accuracy': 1}); say(step=2, loss=3.0)"
    assert python(code).evaluate(PARAMETERS, run) == {"loss": 0.5, "accuracy": 1.0}
    assert [step for step, _, _ in run.reports] == [1, 2]


def test_checkpoints_go_along_with_their_steps_metrics(python, run) -> None:
    code = "say(step=0, checkpoint_uri='a'); say(step=3, loss=2.0); say(step=3, checkpoint_uri='b'); say(loss=1.0)"
    assert python(code).evaluate(PARAMETERS, run) == {"loss": 1.0}
    assert run.reports == [(0, {}, "a"), (3, {"loss": 2.0}, ""), (3, {"loss": 2.0}, "b")]


PARTS = """
until, epoch = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
while epoch < until:
    epoch += 1
    say(step=epoch, loss=1 / epoch)
    say(step=epoch, checkpoint_uri=str(epoch))
print('ran until', until, 'from', sys.argv[2:])
"""


def test_a_program_in_parts_pauses_with_the_checkpoint_that_it_prints_last(python, make_run) -> None:
    objective = python(PARTS, "{until_step}", "{checkpoint}")
    assert objective.define().can_resume
    run = make_run(until_step=2)
    with pytest.raises(PauseTrial):
        objective.evaluate(PARAMETERS, run)
    assert run.reports == [(1, {"loss": 1.0}, ""), (1, {"loss": 1.0}, "1"), (2, {}, "2"), (2, {"loss": 0.5}, "2")]


def test_a_program_in_parts_is_run_again_as_long_as_its_trial_goes_on(python, make_run) -> None:
    run = make_run(checkpoint_uri="1", until_step=2)
    reports = []

    def report(step, metrics, checkpoint_uri=""):
        reports.append((step, checkpoint_uri))
        if metrics and step == 2:
            run.until_step = 3

    run.report = report
    assert python(PARTS, "{until_step}", "{checkpoint}").evaluate(PARAMETERS, run) == {"loss": 1 / 3}
    assert reports == [(2, "2"), (2, "2"), (3, "3"), (3, "3")]
    output = (run.directory / "stdout.log").read_text()
    assert "ran until 2 from ['1']" in output
    assert "ran until 3 from ['2']" in output


def test_a_program_in_parts_needs_a_checkpoint_to_go_on(python, make_run) -> None:
    run = make_run(until_step=1)

    def report(step, metrics, checkpoint_uri=""):
        run.until_step = 3

    run.report = report
    failed = failure(python("say(step=int(sys.argv[1]), loss=1)", "{until_step}", "{checkpoint}"), run)
    assert failed.reason is FailureReason.CRASHED
    assert "ended at step 1 without a checkpoint" in failed.message


def test_a_program_that_does_not_say_both_is_run_to_its_end(python, run) -> None:
    for arguments in ((), ("{until_step}",), ("{checkpoint}",)):
        assert not python(GOOD, *arguments).define().can_resume
    objective = python("say(step=1, loss=len(sys.argv))", "--until", "{until_step}", "--from", "{checkpoint}")
    assert objective.evaluate(PARAMETERS, run) == {"loss": 1}  # neither is known, and both options are left out


def test_all_output_is_kept_and_what_is_no_metric_does_no_harm(python, run) -> None:
    code = """
print('hello'); print('{broken'); print('[1]'); print('{"event": "start"}'); print('{"step": 1}')
print('\\r 50 %\\r100 %\\r' + json.dumps({'step': 1, 'loss': 0.5}))
print('bye', end='', file=sys.stderr)
"""
    assert python(code).evaluate(PARAMETERS, run) == {"loss": 0.5}
    assert run.reports == [(1, {"loss": 0.5}, "")]
    output = (run.directory / "stdout.log").read_bytes().decode()
    assert output.startswith("hello\n{broken\n")
    assert "50 %\r100" in output
    assert (run.directory / "stderr.log").read_text() == "bye"


def test_a_last_line_without_its_end_counts(python, run) -> None:
    assert python("sys.stdout.write(json.dumps({'loss': 0.25}))").evaluate(PARAMETERS, run) == {"loss": 0.25}


def test_a_flood_on_both_outputs_holds_nothing_up(python, run) -> None:
    code = "sys.stderr.write('e' * 3_000_000); print('o' * 3_000_000); say(loss=1.0); sys.stderr.write('e' * 1_000_000)"
    assert python(code, timeout=str(LONG)).evaluate(PARAMETERS, run) == {"loss": 1.0}
    assert (run.directory / "stderr.log").stat().st_size == 4_000_000


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null", "1e999"])
def test_a_final_value_that_is_not_finite_is_diverged(python, run, value: str) -> None:
    failed = failure(python(f'print(\'{{"step": 2, "loss": {value}}}\')'), run)
    assert failed.reason == FailureReason.DIVERGED
    assert "loss" in failed.message
    assert not math.isfinite(run.reports[0][1]["loss"])


def test_information_that_is_not_finite_is_left_out(python, run) -> None:
    assert python("say(loss=1.0, accuracy=float('nan'))").evaluate(PARAMETERS, run) == {"loss": 1.0}


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("say(failure='OUT_OF_MEMORY', message='24 GiB'); sys.exit(3)", "OUT_OF_MEMORY", ["24 GiB"]),
        ("say(failure='INVALID_CONFIGURATION')", "INVALID_CONFIGURATION", ["no message"]),
        ("say(failure='OOM', message='card full')", "CRASHED", ["card full", "OOM", "OUT_OF_MEMORY"]),
        ("say(loss=1.0); print('why it was', file=sys.stderr); sys.exit(3)", "CRASHED", ["exit code 3", "why it was"]),
        ("raise ValueError('no such layer')", "CRASHED", ["exit code 1", "ValueError: no such layer"]),
        ("os.kill(os.getpid(), signal.SIGKILL)", "CRASHED", ["SIGKILL", "memory"]),
        ("raise MemoryError", "OUT_OF_MEMORY", ["exit code 1", "MemoryError"]),
        (
            "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
            "OUT_OF_MEMORY",
            ["exit code 1", "2 GiB"],
        ),
        ("say(step=1, loss=1.0); raise RuntimeError('CUDA error: out of memory')", "OUT_OF_MEMORY", ["CUDA error"]),
        ("print('std::bad_alloc', file=sys.stderr); os.abort()", "OUT_OF_MEMORY", ["signal 6", "std::bad_alloc"]),
        ("print('CUDA out of memory.'); sys.exit(1)", "OUT_OF_MEMORY", ["CUDA out of memory"]),
        (
            "print('CUDA out of memory.', file=sys.stderr)",
            "OUT_OF_MEMORY",
            ["printed no metrics", "CUDA out of memory"],
        ),
        ("raise FloatingPointError('overflow')", "DIVERGED", ["overflow"]),
        ("raise ValueError('index out of memory bounds map')", "CRASHED", ["bounds map"]),
        ("print('CUDA out of memory, a smaller batch', file=sys.stderr); {}['lr']", "CRASHED", ["KeyError: 'lr'"]),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "CRASHED", ["signal 11"]),
        ("sys.exit(137)", "CRASHED", ["137", "SIGKILL", "memory"]),
        ("print('done')", "CRASHED", ["printed no metrics", '{"step": 1, "loss": 0.5}', "stdout.log"]),
        ("say(accuracy=0.9)", "CRASHED", ["lack loss", '"accuracy": 0.9']),
        ("say(loss='low')", "CRASHED", ['loss is "low"', "must be a number"]),
        ("say(loss=True)", "CRASHED", ["loss is true", "must be a number"]),
        ("say(step=1.5, loss=1)", "CRASHED", ["step is 1.5", "whole number"]),
        ("say(step=10**400, loss=1)", "CRASHED", ["step is 1000", "whole number"]),
        ("say(step=-1, loss=1)", "CRASHED", ["step is -1"]),
        ("say(final=0.5)", "CRASHED", ["final is 0.5", "by name"]),
        ("say(checkpoint_uri=5)", "CRASHED", ["checkpoint_uri is 5"]),
    ],
)
def test_failures_are_told_with_their_reason(python, run, code: str, reason: str, words: list[str]) -> None:
    failed = failure(python(code), run)
    assert failed.reason == FailureReason[reason]
    for word in words:
        assert word in failed.message


@pytest.mark.parametrize("code", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(137)"])
def test_a_program_that_the_kernel_killed_ran_out_of_memory(
    python, run, monkeypatch, tmp_path: Path, code: str
) -> None:
    events = tmp_path / "memory.events"
    events.write_text("oom 0\noom_kill 0\n")
    monkeypatch.setattr(out_of_memory, "_event_files", lambda: [events])
    killed_by_a_person = failure(python(code), run)
    assert killed_by_a_person.reason == FailureReason.CRASHED
    assert "not by the kernel" in killed_by_a_person.message
    kernel = f"open({str(events)!r}, 'w').write('oom 1\\noom_kill 1\\n'); {code}"
    killed_by_the_kernel = failure(python(kernel), run)
    assert killed_by_the_kernel.reason == FailureReason.OUT_OF_MEMORY
    assert "SIGKILL" in killed_by_the_kernel.message


def test_what_an_earlier_attempt_printed_is_not_this_ones_reason(python, run) -> None:
    for name in ("stderr.log", "stdout.log"):
        (run.directory / name).write_text("CUDA out of memory\n")
    assert failure(python("sys.exit(1)"), run).reason == FailureReason.CRASHED


def test_the_errors_quoted_are_this_attempts_last_lines(python, run) -> None:
    (run.directory / "stderr.log").write_text("of the attempt before\n")
    failed = failure(python("print(*range(5000), sep='\\n', file=sys.stderr); sys.exit(1)"), run)
    assert failed.message.endswith("\n4998\n4999")
    assert len(failed.message) < 5000
    assert "attempt before" not in failure(python("sys.exit(1)"), run).message
    assert (run.directory / "stderr.log").read_text().startswith("of the attempt before\n0\n")


LONG = 3600
"""Seconds that nobody waits for, on whatever machine."""
PATIENCE_S = 120
FAMILY = f"""
import subprocess
child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep({LONG})'])
pids = os.environ['BO_TRIAL_DIRECTORY'] + '/pids'
open(pids + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')
os.rename(pids + '.new', pids)
"""
SLEEPS = f"time.sleep({LONG})"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def family(run) -> list[int]:
    return [int(pid) for pid in (run.directory / "pids").read_text().split()]


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


class Clock:
    """An hour passes at once when something is so."""

    def __init__(self, is_so: Callable[[], bool]) -> None:
        self._is_so = is_so

    def monotonic(self) -> float:
        return time.monotonic() + 3600 * self._is_so()


@pytest.mark.parametrize("deaf", ["", DEAF], ids=["obedient", "deaf"])
def test_a_silent_program_is_timed_out_with_all_that_it_started(python, run, monkeypatch, deaf: str) -> None:
    monkeypatch.setattr(process, "time", Clock(lambda: (run.directory / "pids").exists()))
    failed = failure(python(deaf + FAMILY + SLEEPS, timeout="3600", grace="0.3"), run)
    assert failed.reason == FailureReason.TIMEOUT
    assert "after 3600 s" in failed.message
    assert gone(family(run))


def test_a_chatty_program_is_timed_out_too(python, run, monkeypatch) -> None:
    monkeypatch.setattr(process, "time", Clock(lambda: len(run.reports) > 1))
    failed = failure(python("while True: say(step=1, loss=1.0); time.sleep(0.01)", timeout="3600", grace="0.3"), run)
    assert failed.reason == FailureReason.TIMEOUT


def test_stop_asks_first_and_passes_on(python, make_run) -> None:
    run = make_run(stop_at=2)
    code = """
def stop(*_):
    open(os.environ['BO_TRIAL_DIRECTORY'] + '/saved', 'w').write('model')
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
for step in range(3): say(step=step, loss=1.0)
time.sleep(LONG)
""".replace("LONG", str(LONG))
    with pytest.raises(StopTrial):
        python(FAMILY + code, grace=str(LONG)).evaluate(PARAMETERS, run)
    assert (run.directory / "saved").read_text() == "model"
    assert [step for step, _, _ in run.reports] == [0, 1, 2]
    assert gone(family(run))


def test_a_program_that_does_not_hear_the_stop_is_killed_after_the_grace(python, make_run) -> None:
    run = make_run(stop_at=0)
    with pytest.raises(StopTrial):
        python(DEAF + FAMILY + "say(step=0, loss=1.0); " + SLEEPS, grace="0.3").evaluate(PARAMETERS, run)
    assert gone(family(run))


def test_what_a_program_leaves_behind_is_ended_and_not_waited_for(python, run) -> None:
    assert python(FAMILY + "say(loss=1.0)", grace=str(LONG)).evaluate(PARAMETERS, run) == {"loss": 1.0}
    assert gone(family(run))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_program_ends_with_its_worker_even_one_that_is_killed(space: str, run, number: signal.Signals) -> None:
    program = "import os, sys, time\n" + FAMILY.replace("{", "{{").replace("}", "}}") + SLEEPS
    code = f"""
from pathlib import Path
from types import SimpleNamespace
from bo_objectives.command import process, templates
from bo_objectives.command.objective import CommandObjective
objective = CommandObjective({space!r}, [{sys.executable!r}, "-S", "-c", {program!r}], grace="0.3")
folder = Path({str(run.directory)!r})
run = SimpleNamespace(number=1, attempt=1, checkpoint_uri="", until_step=None, directory=folder)
objective.evaluate({PARAMETERS!r}, run)
"""
    worker = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + PATIENCE_S
    while not (run.directory / "pids").exists():
        assert worker.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert all(map(is_running, family(run)))
    worker.send_signal(number)
    worker.wait()
    assert gone(family(run))


def test_a_failed_program_may_end_by_itself(python, run) -> None:
    code = "say(failure='DIVERGED', message='loss'); time.sleep(0.3); open(sys.argv[1], 'w').close()"
    failure(python(code, str(run.directory / "ended")), run)
    assert (run.directory / "ended").exists()


def test_a_shell_script_takes_part(space: str, run) -> None:
    script = """echo "starting with $BO_PARAM_LR"; echo '{"step": 1, "loss": '"$1"'}'"""
    objective = CommandObjective(space, ["sh", "-c", script.replace("{", "{{").replace("}", "}}"), "sh", "{lr}"])
    objective.define()
    assert objective.evaluate(PARAMETERS, run) == {"loss": 1e-05}
    assert (run.directory / "stdout.log").read_text().startswith("starting with 1e-05\n")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (["sh", "{rate}"], r"asks for \{rate\}.*lr, optimizer, momentum"),
        (["sh", '{"lr": 1}'], r"asks for \{\"lr\": 1\}.*write \{\{ and \}\}"),
        (["sh", "{lr"], r"lone '\{'.*'\{\{'"),
        (["sh", "}"], r"lone '\}'"),
        (["absent-program", "{lr}"], r"program 'absent-program' cannot be found"),
        (["./space.yaml"], r"program './space.yaml' cannot be found.*executable"),
    ],
)
def test_a_mistake_in_the_arguments_is_told_before_any_trial(space: str, program: list[str], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        CommandObjective(space, program).define()


def test_a_program_whose_name_is_a_parameters_is_looked_for_when_it_is_run(space: str, run) -> None:
    objective = CommandObjective(space, ["./absent-{optimizer}"])
    objective.define()
    with pytest.raises(SetupError, match=r"program './absent-adam' cannot be found"):
        objective.evaluate(PARAMETERS, run)


def test_a_script_whose_interpreter_is_missing_is_told_apart(space: str, run) -> None:
    script = run.directory / "train"
    script.write_text("#!/absent/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(SetupError, match=r"can't be run"):
        CommandObjective(space, [str(script)]).evaluate(PARAMETERS, run)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"program": ["sh"]}, "needs the space.*--space FILE"),
        ({"space": "space.yaml"}, "needs the program.*after --"),
        ({"space": "space.yaml", "program": "sh run"}, "a single text"),
        ({"space": "space.yaml", "program": ["sh"], "timeout": "soon"}, "timeout is 'soon'.*seconds"),
        ({"space": "space.yaml", "program": ["sh"], "timeout": "0"}, "timeout is '0'"),
        ({"space": "space.yaml", "program": ["sh"], "grace": "nan"}, "grace is 'nan'"),
    ],
)
def test_wrong_options_are_named(given, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        CommandObjective(**given)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parameters: {x: {type: float, low: 0, high: 1}}", "metrics"),
        ("parameters: {x: {type: float, low: 1, high: 0}}\nmetrics: {loss: minimize}", r"parameters\.x\.low"),
        ("parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {step: minimize}", "metric step"),
        (
            "parameters: {a.b: {type: int, low: 0, high: 1}, A_B: {type: int, low: 0, high: 1}}\n"
            "metrics: {loss: minimize}",
            "a.b and A_B would both be BO_PARAM_A_B",
        ),
    ],
)
def test_a_faulty_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "faulty.yaml").write_text(text)
    with pytest.raises(SetupError, match=words):
        CommandObjective(str(tmp_path / "faulty.yaml"), ["sh"]).define()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"absent\.yaml: there is no such file"):
        CommandObjective(str(tmp_path / "absent.yaml"), ["sh"]).define()
