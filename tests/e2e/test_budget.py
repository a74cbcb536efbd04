"""A budget of training over a real server ends the study with a named reason, after kill -9 and for two clients."""

import threading

import bo_client
from bo_client.cli.main import main
from bo_client.models import Limit, Spent
from bo_client.outcomes import why_no_more
from click.testing import CliRunner

SPACE = [bo_client.FloatParameter("x", 0.0, 1.0)]
FIDELITY = {"metric": "epoch", "max": 9}


def objective(parameters, trial):
    """Train an epoch in half a second, as it says."""
    epoch = int(trial.checkpoint_uri or 0)
    while epoch < 9:
        epoch += 1
        trial.report(parameters["x"] + 1 / epoch, epoch, trial.elapsed_before + 0.5, checkpoint_uri=str(epoch))
    return parameters["x"]


def told(address, *arguments):
    result = CliRunner().invoke(main, ["--server", address, *arguments], catch_exceptions=False)
    return result.output


def test_epochs_and_seconds_end_a_study_whichever_first_and_a_killed_server_remembers(server_process) -> None:
    with bo_client.connect(server_process.address) as client:
        epochs = client.create_study(
            "epochs", SPACE, "loss", goal="minimize", fidelity=FIDELITY, max_steps=18, max_seconds=1000, seed=1,
            algorithm="quasi_random",
        )  # fmt: skip
        epochs.optimize(objective, n_trials=5, can_resume=True)
        before = epochs.info().spent
        assert before.steps >= 5
    server_process.kill()
    server_process.start()
    with bo_client.connect(server_process.address) as client:
        one, two = client.study("epochs"), client.study("epochs")
        assert one.info().spent == before
        workers = [
            threading.Thread(target=s.optimize, args=(objective,), kwargs={"can_resume": True}) for s in (one, two)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(240)
        info, trials = one.info(), list(one.trials())
        assert (info.state, info.reached_limit) == (bo_client.StudyState.COMPLETED, Limit.MAX_STEPS)
        assert 18 <= info.spent.steps < 18 + 6  # at most one part more
        spent = [attempt for trial in trials for attempt in trial.attempts]
        assert info.spent == Spent(sum(a.steps for a in spent), round(sum(a.seconds for a in spent), 6))
        suggestions = one.suggest(can_resume=True)
        assert (suggestions, suggestions.reached_limit) == ([], Limit.MAX_STEPS)
        reason = why_no_more(one, suggestions.shortfall)
        assert f"{info.spent.steps} of 18 epochs (max_steps) were trained" in reason
        assert "bo study resume epochs --max-steps" in reason
        assert f"{info.spent.steps} of 18 epochs spent, 0 left" in told(
            server_process.address, "study", "show", "epochs"
        )
        assert "max_steps is reached" in told(server_process.address, "trial", "suggest", "epochs")
        resumed = told(server_process.address, "study", "resume", "epochs", "--max-steps", "1000")
        assert "is ACTIVE" in resumed
        told(server_process.address, "study", "update", "epochs", "--max-seconds", "1")
        assert client.study("epochs").info().reached_limit is Limit.MAX_SECONDS
