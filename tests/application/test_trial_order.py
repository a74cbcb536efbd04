"""Orders of trials: what comes first, and pages that stay the same while trials change."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.application import trials
from bo_service.application.ports import TrialSummary
from bo_service.application.trial_order import Position, TrialOrder
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.trial import Measurement, TrialState
from bo_service.rpc import pages

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def summary(number: int, value: float | None, **parameters: float | str | bool) -> TrialSummary:
    """Return a trial that took as many seconds as its number."""
    state = TrialState.QUEUED if value is None else TrialState.SUCCEEDED
    final = None if value is None else Measurement({"loss": value})
    times = (None, None) if value is None else (BEGIN, BEGIN + timedelta(seconds=number))
    return TrialSummary(number, state, parameters, final, None, *times)


TRIALS = [
    summary(1, 0.5, norm="layer", flag=True),
    summary(2, None, norm="Batch", flag=False),
    summary(3, -1.0, flag=True),
    summary(4, 0.5, norm="batch"),
    summary(5, float("nan"), norm="group"),
    summary(6, float("inf")),
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("number desc", [6, 5, 4, 3, 2, 1]),
        ("metrics.loss", [3, 1, 4, 6, 2, 5]),
        (" metrics.loss  desc", [6, 1, 4, 3, 2, 5]),
        ("parameters.norm asc", [2, 4, 5, 1, 3, 6]),
        ("parameters.flag desc", [1, 3, 2, 4, 5, 6]),
        ("state", [2, 1, 3, 4, 5, 6]),
        ("duration desc", [6, 5, 4, 3, 1, 2]),
        ("start_time", [1, 3, 4, 5, 6, 2]),
        ("end_time desc", [6, 5, 4, 3, 1, 2]),
    ],
)
def test_trials_without_a_value_come_last_and_equal_ones_by_number(text: str, numbers: list[int]) -> None:
    assert TrialOrder.parse(text).first(TRIALS, None, 10) == numbers
    assert TrialOrder.parse(text).first(TRIALS[::-1], None, 4) == numbers[:4]


@pytest.mark.parametrize(
    "text", ["loss", "metrics.", "labels.a", "number down", "number desc desc", "number,state", "x" * 999]
)
def test_an_order_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"order_by.*metrics\.NAME"):
        TrialOrder.parse(text)


VALUES = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1.0]))


@given(st.lists(VALUES, max_size=12), st.integers(1, 4), st.booleans())
def test_pages_hold_each_trial_once_in_order(values: list[float | None], size: int, is_descending: bool) -> None:
    order = TrialOrder("metrics.loss", is_descending)
    listed = {number: summary(number, value) for number, value in enumerate(values, start=1)}
    numbers, after = [], None
    while page := order.first(listed.values(), after, size):
        numbers += page
        token = pages.position_token(order, order.position_of(listed[page[-1]]))
        after = pages.position_of(token, order)
    assert numbers == order.first(listed.values(), None, 99)


def test_a_page_begins_after_its_position_also_if_that_trial_has_changed(app, make_study) -> None:
    make_study()
    for loss in (3.0, 1.0, 2.0, 5.0, 4.0):
        trials.create_trial(
            app,
            "s",
            trials.NewTrial({"lr": 0.5, "norm": "batch"}, {}, final_measurement=Measurement({"loss": loss})),
            None,
        )
    order = TrialOrder.parse("metrics.loss")
    page = trials.list_ordered_trials(app, "s", [], order, None, 2, full=False)
    assert ([view.trial.number for view in page.trials], page.next_after) == ([2, 3], 3)
    after = order.position_of(TrialSummary.of(page.trials[-1].trial))
    trials.delete_trial(app, "s", 3, None)
    rest = trials.list_ordered_trials(app, "s", [], order, after, 3, full=False)
    assert ([view.trial.number for view in rest.trials], rest.next_after) == ([1, 5, 4], None)
    with pytest.raises(InvalidArgument, match=r"studies/s has the metrics loss"):
        trials.list_ordered_trials(app, "s", [], TrialOrder.parse("metrics.los"), None, 3, full=False)


@pytest.mark.parametrize(
    "token", ["12", "?", "bm8=", "W10=", "W1sxXV0=", pages.position_token(TrialOrder("state"), Position(None, 1))]
)
def test_a_token_of_another_form_or_order_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        pages.position_of(token, TrialOrder("metrics.loss"))
