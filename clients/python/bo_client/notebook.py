"""HTML of studies and trials for notebooks: small tables without external resources. All texts are escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from bo_api.v1 import optimization_service_pb2 as pb

from bo_client.errors import BoClientError
from bo_client.formatting import budget, clock, duration, goals, heading, nothing_yet, progress, short
from bo_client.wire import codec

if TYPE_CHECKING:
    from bo_client.models import StudyInfo, Trial
    from bo_client.study import Study

MAX_ROWS = 100
TIMEOUT_S = 3.0
"""Timeout in seconds of each call for a display."""
CELL = "text-align:left;vertical-align:top"


def current_study_html(study: "Study") -> str:
    """Return the HTML of a study's current state, or of the last known state if the server does not respond soon."""
    study_request = pb.GetStudyRequest(name=study.name)
    best_request = pb.GetBestTrialsRequest(parent=study.name, count=1)
    try:
        response = study.client.ask(study_request, pb.GetStudyResponse, TIMEOUT_S, patience=0.0)
        best = study.client.ask(best_request, pb.GetBestTrialsResponse, TIMEOUT_S, patience=0.0)
    except BoClientError as error:
        return study_html(study.definition, remark=f"as it was when it was opened: {error}")
    return study_html(codec.study_from_wire(response.study), [codec.trial_from_wire(t) for t in best.trials])


def study_html(info: "StudyInfo", best: "Sequence[Trial] | None" = None, remark: str = "") -> str:
    """Return the HTML of a study: its objectives, progress and best trials, if known."""
    counts = ", ".join(f"{count} {state.lower()}" for state, count in info.counts.items() if count)
    facts = [
        ("state", f"{info.state.value}, {progress(info)} trials ended"),
        ("goal", goals(info)),
        ("trials", counts or "none yet"),
        *([("budget", budget(info))] if budget(info) else []),
        ("parameters", ", ".join(info.space.names)),
    ]
    if best is not None and not best:
        facts.append(("best", nothing_yet(info)))
    name = info.id if info.display_name in ("", info.id) else f"{info.id} ({info.display_name})"
    parts = [_caption(f"study {name}"), _facts(facts)]
    if best:
        columns = [(heading(m), m.name) for m in info.metrics]
        parts.append(
            _table(best, [("trial", lambda t: str(t.number)), *_valued(columns), *_parameter_columns(info.space.names)])
        )
    return _block([*parts, f"<div>{escape(remark)}</div>" if remark else ""])


def trial_html(trial: "Trial") -> str:
    """Return the HTML of a trial: its state, metrics, parameters and explanation."""
    reached = trial.final_measurement.metrics if trial.final_measurement else {}
    facts = [*((name, _reached(trial, value)) for name, value in sorted(reached.items()))]
    facts += [(name, short(value)) for name, value in sorted(trial.parameters.items())]
    if trial.failure:
        facts.append(("failure", f"{trial.failure.reason.value} {trial.failure.message}".strip()))
    if trial.explanation and trial.explanation.summary:
        facts.append(("why", trial.explanation.summary))
    took = duration(trial)
    if took is not None:
        facts.append(("time", clock(took)))
    facts += sorted(trial.labels.items())
    return _block([_caption(f"{trial.name} {trial.state.value}"), _facts(facts)])


def trials_html(trials: "Sequence[Trial]", remark: str = "") -> str:
    """Return the HTML of a table with a row for each trial and a column for each metric and parameter."""
    if not trials:
        return _block([f"<div>no trials{f': {escape(remark)}' if remark else ''}</div>"])
    shown = trials[:MAX_ROWS]
    metrics = sorted({n for t in shown if t.final_measurement for n in t.final_measurement.metrics})
    names = sorted({name for t in shown for name in t.parameters})
    head: list[Column] = [("trial", lambda t: str(t.number)), ("state", lambda t: t.state.value)]
    parts = [_table(shown, [*head, *_valued([(name, name) for name in metrics]), *_parameter_columns(names)])]
    hidden, stopped = len(trials) - len(shown), sum(t.is_cut_short for t in trials)
    remarks = [f"and {hidden} more"] if hidden else []
    remarks += [f"{stopped} stopped early: their values are of their last measurement"] if stopped else []
    return _block([*parts, *(f"<div>{escape(text)}</div>" for text in [*remarks, *([remark] if remark else [])])])


if TYPE_CHECKING:
    from collections.abc import Callable

    Column = tuple[str, Callable[["Trial"], str]]


def _valued(columns: Iterable[tuple[str, str]]) -> "list[Column]":
    def value(name: str) -> "Callable[[Trial], str]":
        return lambda trial: "" if (number := trial.value(name)) is None else _reached(trial, number)

    return [(title, value(name)) for title, name in columns]


def _reached(trial: "Trial", value: float) -> str:
    """Return a metric's value as text; that of a trial that a rule ended early is not final."""
    return f"{short(value)} (stopped early)" if trial.is_cut_short else short(value)


def _parameter_columns(names: Iterable[str]) -> "list[Column]":
    def value(name: str) -> "Callable[[Trial], str]":
        return lambda trial: short(trial.parameters[name]) if name in trial.parameters else ""

    return [(name, value(name)) for name in names]


def _table(trials: "Sequence[Trial]", columns: "Sequence[Column]") -> str:
    head = "".join(f'<th scope="col" style="{CELL}">{escape(title)}</th>' for title, _ in columns)
    rows = ("".join(f'<td style="{CELL}">{escape(text_of(trial))}</td>' for _, text_of in columns) for trial in trials)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = (
        f'<tr><th scope="row" style="{CELL}">{escape(name)}</th><td style="{CELL}">{escape(text)}</td></tr>'
        for name, text in facts
    )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _caption(text: str) -> str:
    return f"<div><strong>{escape(text)}</strong></div>"


def _block(parts: Iterable[str]) -> str:
    return f'<div style="overflow-x:auto">{"".join(parts)}</div>'
