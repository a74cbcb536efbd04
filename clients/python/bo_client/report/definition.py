"""The definition of a study in tables: its metrics, search space, constraints and settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bo_client.constraints import Constraint, ForbiddenCombination, LinearConstraint
from bo_client.formatting import assignments, short
from bo_client.models import StudyInfo
from bo_client.parameters import described


@dataclass(frozen=True)
class Table:
    """Rows of texts below a caption; the first text of each row is its heading."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def definition(info: StudyInfo) -> list[Table]:
    """Return the tables of the study's definition."""
    return [_metrics(info), _space(info), *_constraints(info), _settings(info)]


def _metrics(info: StudyInfo) -> Table:
    rows = [(m.name, m.role, m.goal or "", "" if m.bound is None else f"{m.bound:g}", m.unit) for m in info.metrics]
    return Table("Metrics", ("metric", "role", "goal", "bound", "unit"), rows)


def _space(info: StudyInfo) -> Table:
    rows = [
        (
            p.name,
            described(p),
            getattr(p, "scale", ""),
            "" if p.default is None else short(p.default),
            f"{p.activation.parameter} is {' or '.join(map(short, p.activation.values))}" if p.activation else "",
            " ".join(filter(None, (p.unit, p.description))),
        )
        for p in info.space.parameters
    ]
    return Table("Search space", ("parameter", "values", "scale", "default", "only where", "about"), rows)


def _constraints(info: StudyInfo) -> Iterator[Table]:
    if info.space.constraints:
        yield Table("Constraints", ("what", "about"), [(_rule(c), c.description) for c in info.space.constraints])


def _rule(constraint: Constraint) -> str:
    if isinstance(constraint, ForbiddenCombination):
        return f"never together: {assignments(constraint.parameters)}"
    terms = " + ".join(f"{factor:g} {name}" for name, factor in constraint.coefficients.items())
    if isinstance(constraint, LinearConstraint):
        return f"{terms} ≤ {constraint.upper_bound:g}"
    return f"{terms} = {constraint.value:g}"


def _settings(info: StudyInfo) -> Table:
    rows = [(name.replace("_", " "), _setting(value)) for name, value in info.settings.items()]
    return Table("Settings", ("setting", "value"), rows)


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
