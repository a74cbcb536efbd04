"""What notebooks show of studies and trials: small tables of HTML that need nothing else. Every text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from bo_client.wording import clock, duration, goals, heading, nothing_yet, progress, short

if TYPE_CHECKING:
    from bo_client.values import StudyInfo, Trial

MOST_ROWS = 100
CELL = "text-align:left;vertical-align:top"


def study_html(info: "StudyInfo", best: "Sequence[Trial] | None" = None, remark: str = "") -> str:
    """A study: what it optimizes, where it stands, and its best trials where they are known."""
    counts = ", ".join(f"{count} {state.lower()}" for state, count in info.counts.items() if count)
    facts = [
        ("state", f"{info.state.value}, {progress(info)} trials ended"),
        ("goal", goals(info)),
        ("trials", counts or "none yet"),
        ("parameters", ", ".join(info.space.names)),
    ]
    if best is not None and not best:
        facts.append(("best", nothing_yet(info)))
    name = info.id if info.display_name in ("", info.id) else f"{info.id} ({info.display_name})"
    parts = [_caption(f"study {name}"), _facts(facts)]
    if best:
        columns = [(heading(m), m.name) for m in info.metrics]
        parts.append(_table(best, [("trial", lambda t: str(t.number)), *_valued(columns), *_given(info.space.names)]))
    return _block([*parts, f"<div>{escape(remark)}</div>" if remark else ""])


def trial_html(trial: "Trial") -> str:
    """A trial: its state, what it reached, with which parameters, and why."""
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
    """A row for each trial, a column for each metric and parameter that one of them has."""
    if not trials:
        return _block([f"<div>no trials{f': {escape(remark)}' if remark else ''}</div>"])
    shown = trials[:MOST_ROWS]
    metrics = sorted({n for t in shown if t.final_measurement for n in t.final_measurement.metrics})
    names = sorted({name for t in shown for name in t.parameters})
    head: list[Column] = [("trial", lambda t: str(t.number)), ("state", lambda t: t.state.value)]
    parts = [_table(shown, [*head, *_valued([(name, name) for name in metrics]), *_given(names)])]
    hidden, stopped = len(trials) - len(shown), sum(t.is_cut_short for t in trials)
    told = [f"and {hidden} more"] if hidden else []
    told += [f"{stopped} stopped early: their values are of their last measurement"] if stopped else []
    return _block([*parts, *(f"<div>{escape(text)}</div>" for text in [*told, *([remark] if remark else [])])])


if TYPE_CHECKING:
    from collections.abc import Callable

    Column = tuple[str, Callable[["Trial"], str]]


def _valued(columns: Iterable[tuple[str, str]]) -> "list[Column]":
    def value(name: str) -> "Callable[[Trial], str]":
        return lambda trial: "" if (found := trial.value(name)) is None else _reached(trial, found)

    return [(title, value(name)) for title, name in columns]


def _reached(trial: "Trial", value: float) -> str:
    """Return a metric's value in words; that of a trial that a rule cut short isn't final."""
    return f"{short(value)} (stopped early)" if trial.is_cut_short else short(value)


def _given(names: Iterable[str]) -> "list[Column]":
    def value(name: str) -> "Callable[[Trial], str]":
        return lambda trial: short(trial.parameters[name]) if name in trial.parameters else ""

    return [(name, value(name)) for name in names]


def _table(trials: "Sequence[Trial]", columns: "Sequence[Column]") -> str:
    head = "".join(f'<th scope="col" style="{CELL}">{escape(title)}</th>' for title, _ in columns)
    rows = ("".join(f'<td style="{CELL}">{escape(told(trial))}</td>' for _, told in columns) for trial in trials)
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
