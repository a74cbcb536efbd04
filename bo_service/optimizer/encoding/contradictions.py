"""Constraints that contradict each other: proven before a study begins."""

from dataclasses import replace

from bo_service.domain.constraints import Constraint
from bo_service.domain.errors import Violation
from bo_service.domain.search_space import SearchSpace
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.feasible_region import FeasibleRegion

MOST_CONSTRAINTS, MOST_SIZE = 32, 4096
"""Constraints, and constraints times parameters, above which it isn't looked for which contradict each other."""
MOST_CHARACTERS = 120


def contradictions(space: SearchSpace) -> list[Violation]:
    """Return a violation for each of few constraints that no configuration fulfills together; none where some does."""
    if not _is_empty(space, space.constraints):
        return []
    kept = list(enumerate(space.constraints))
    if len(kept) <= MOST_CONSTRAINTS and len(kept) * len(space.parameters) <= MOST_SIZE:
        for item in tuple(kept):
            rest = [other for other in kept if other is not item]
            if rest and _is_empty(space, tuple(c for _, c in rest)):
                kept = rest
    return [_told(i, kept) for i, _ in kept]


def _is_empty(space: SearchSpace, constraints: tuple[Constraint, ...]) -> bool:
    return FeasibleRegion(Encoding(replace(space, constraints=constraints))).is_proven_empty


def _told(i: int, together: list[tuple[int, Constraint]]) -> Violation:
    told = {j: (constraint.description or str(constraint))[:MOST_CHARACTERS] for j, constraint in together}
    others = "; ".join(f"constraints[{j}] ({text})" for j, text in told.items() if j != i)
    whom = f"no configuration fulfills it together with {others}" if others else "no configuration fulfills it"
    return Violation(
        f"constraints[{i}]", f"is {told[i]}; {whom}: loosen one of them, or widen the bounds of their parameters"
    )
