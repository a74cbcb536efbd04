"""What notebooks show, as they ask for it."""

import re

import bo_client
from bo_client.notebook import MAX_ROWS

EVIL = "<img src=x onerror=alert(1)>"


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_a_study_is_shown_as_it_is_now(seen) -> None:
    shown = words(seen._repr_html_())
    assert "study s" in shown
    assert "ACTIVE, 3 of 6 trials ended" in shown
    assert "minimize loss (nats)" in shown
    assert "trial loss accuracy lr norm groups 2 0.75 0.8" in shown


def test_of_several_objectives_the_pareto_set_is_shown(server, space) -> None:
    metrics = [bo_client.Metric("a", "minimize"), bo_client.Metric("b", "minimize"), bo_client.Metric.at_most("c", 2.0)]
    study = server.client().create_study("several", space, metrics)
    assert "no trial has a result within the bounds yet" in words(study._repr_html_())
    for i in range(4):
        study.add({"lr": 0.01, "norm": "batch"}, {"a": float(i), "b": -float(i), "c": float(i)})
    assert study._repr_html_().count('<td style="text-align:left;vertical-align:top">batch</td>') == 3
    assert "c ≤ 2" in words(study._repr_html_()).replace("&lt;", "<")


def test_a_notebook_is_not_kept_waiting(seen, server) -> None:
    """However patient its client is."""
    patient = server.client(patience=3600.0).study("s")
    with server.outage():
        shown = words(patient._repr_html_())
    assert "as it was when it was opened: no server answers" in shown
    assert "study s" in shown


def test_trials_are_shown(seen) -> None:
    shown = words(seen.trial(3)._repr_html_())
    assert shown.startswith("studies/s/trials/3 INFEASIBLE")
    assert "DIVERGED the loss is nan" in shown
    best = seen.best_trials(2)
    assert isinstance(best, list)
    assert words(best._repr_html_()).startswith("trial state accuracy loss groups lr norm")
    everything = bo_client.Trials(seen.trials())
    assert everything._repr_html_().count("<tr>") == 1 + len(everything) == 6
    assert words(bo_client.Trials()._repr_html_()) == "no trials"
    assert "and 5 more" in bo_client.Trials([best[0]] * (MAX_ROWS + 5))._repr_html_()


def test_suggestions_are_shown(study) -> None:
    suggestions = study.suggest(2)
    assert words(suggestions._repr_html_()).startswith("trial state groups lr norm")
    assert "studies/s/trials/1 RUNNING" in words(suggestions[0]._repr_html_())
    study.update(state="PAUSED")
    assert words(study.suggest()._repr_html_()) == "no trials: PAUSED"


def test_nothing_that_a_user_wrote_is_read_as_html(server) -> None:
    space = bo_client.SearchSpace([bo_client.CategoricalParameter("kind", [EVIL, "b"])])
    study = server.client().create_study(
        "evil", space, [bo_client.Metric("loss", "minimize", unit=EVIL)], display_name=EVIL
    )
    study.enqueue({"kind": EVIL}, {"note": EVIL})
    suggestions = study.suggest()
    suggestions[0].complete(1.0)
    study.add({"kind": "b"}, failure="DIVERGED")
    shown = [study, study.info(), study.trial(1), study.best_trials(1), suggestions, suggestions[0]]
    for each in shown:
        text = each._repr_html_()
        assert "<img" not in text
        assert "&lt;img" in text
