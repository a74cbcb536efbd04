"""The table of trials: what a filter finds and refuses, the order, the pages, and the tags of notes."""

from dataclasses import replace
from datetime import UTC, datetime

import bo_client
import pytest
from bo_client.errors import InvalidRequest
from bo_client.models import Failure, FailureReason, Measurement, Origin, Trial, TrialNote, TrialState
from bo_client.tags import tags_in
from bo_client.testing import InProcessServer
from bo_dashboard.trial_table import TableQuery, page_of, select_trials

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-5, 1.0, "log", unit="1/s"),
        bo_client.CategoricalParameter("norm", ["batch", "layer", "group"]),
        bo_client.CategoricalParameter("flag", [True, False]),
        bo_client.IntParameter("loss", 1, 8),
    ]
)


@pytest.fixture(scope="module")
def info() -> bo_client.StudyInfo:
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("accuracy", role="information")]
    return InProcessServer().client().create_study("s", SPACE, metrics).definition


def trial(number: int, loss: float | None = None, **parameters: object) -> Trial:
    values = {"lr": 0.1 * number, "norm": "batch", "flag": True, "loss": number, **parameters}
    final = None if loss is None else Measurement({"loss": loss, "extra": loss + 1})
    state = TrialState.QUEUED if loss is None else TrialState.SUCCEEDED
    note = TrialNote(f"seen #good-{number % 2} twice #Good-{number % 2}", "t", datetime.now(UTC))
    return Trial(number, f"studies/s/trials/{number}", values, state, final_measurement=final, note=note)  # type: ignore[arg-type]


TRIALS = [
    trial(1, 0.5),
    trial(2, 0.25, norm="layer"),
    trial(3, norm="layer"),
    trial(4, 1.0, norm="group", flag=False),
    trial(5, -1.0),
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("loss<0.5", [2, 5]),
        ("loss>=0.5 norm=batch", [1]),
        ("norm=layer,group", [2, 3, 4]),
        ("norm!=layer,group", [1, 5]),
        ('"lr (1/s)"<=0.2', [1, 2]),
        ("lr<=0.2", [1, 2]),
        ('"parameter loss">4', [5]),
        ("LOSS=-1", [5]),
        ("flag=false", [4]),
        ("state=queued", [3]),
        ("tag=good-0", [2, 4]),
        ("layer", [2, 3]),
        ('"twice #good-1"', [1, 3, 5]),
        ("loss!=0.5", [2, 3, 4, 5]),
        ("extra>1.4", [1, 4]),
        ("lr<1e-9", []),
        ("loss >= 0.5 norm == batch", [1]),
        ('note="seen  =  #good"', []),
    ],
)
def test_a_filter_finds_the_trials_that_it_describes(info, text: str, numbers: list[int]) -> None:
    assert [t.number for t in select_trials(info, TRIALS, TableQuery(text, order="number"))] == numbers


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nope=1", "there is no column 'nope'; choose one of number, state, loss"),
        ("lr<", "lr< has no value; give one, such as lr<0.5"),
        ("norm=", "such as norm=batch"),
        ("lr<abc", "lr is a number, and 'abc' is not"),
        ("lr=nan", "lr is a number, and 'nan' is not"),
        ("lr<1,2", "has 2 values; give one"),
        ("norm<batch", "norm is text; compare it with = or !="),
        ("norm=btch", "norm is never 'btch'; its values are batch, layer, group"),
        ("state=done", "its values are queued, running"),
        ('norm="batch', "a quotation mark that is not closed"),
        ("x" * 3000, "at most 2000"),
    ],
)
def test_a_filter_without_a_meaning_is_refused(info, text: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match="filter") as refused:
        select_trials(info, TRIALS, TableQuery(text))
    assert hint in str(refused.value)
    page = page_of(info, TRIALS, TableQuery(text))
    assert (page["rows"], hint in page["fault"]) == ([], True)


def test_columns_of_one_name_are_told_apart() -> None:
    space = [bo_client.FloatParameter("time", 0.0, 9.0), bo_client.FloatParameter("STATE", 0.0, 9.0)]
    study = InProcessServer().client().create_study("t", space, "loss", goal="minimize").definition
    labels = {"loss": "high", "host": "a1"}
    one = replace(trial(1), parameters={"time": 3.0, "STATE": 4.0}, state=TrialState.FAILED, labels=labels)
    one = replace(one, final_measurement=Measurement({"loss": 1.0}))
    for text in ("time=3", "state=failed", "STATE=4", '"label loss"=high', "host=A1", "loss=1"):
        assert select_trials(study, [one], TableQuery(text)) == [one]
    with pytest.raises(InvalidRequest, match="trial time, attempt"):
        select_trials(study, [one], TableQuery('"trial timed"=3'))


def test_words_find_a_failure_and_an_origin_by_either_name(info) -> None:
    failure = Failure(FailureReason.OUT_OF_MEMORY)
    one = replace(trial(1), state=TrialState.INFEASIBLE, failure=failure, origin=Origin.QUASI_RANDOM)
    for text in ("failure=out_of_memory", 'failure="out of memory"', "origin=QUASI_RANDOM", "from=quasi-random"):
        assert select_trials(info, [one], TableQuery(text)) == [one]
        assert select_trials(info, [one], TableQuery(text.replace("=", "!="))) == []


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("-number", [5, 4, 3, 2, 1]),
        ("loss", [5, 2, 1, 4, 3]),
        ("-loss", [4, 1, 2, 5, 3]),
        ("norm", [1, 5, 4, 2, 3]),
        ("-parameter loss", [5, 4, 3, 2, 1]),
        ("gone", [1, 2, 3, 4, 5]),
    ],
)
def test_absent_values_come_last_in_either_direction(info, order: str, numbers: list[int]) -> None:
    assert [t.number for t in select_trials(info, TRIALS, TableQuery(order=order))] == numbers


def test_a_page_tells_what_it_leaves_out(info) -> None:
    page = page_of(info, TRIALS, TableQuery("norm=batch,layer", page=7, rows=3, order="number"))
    assert (page["count"], page["total"], page["page"], page["pages"]) == (4, 5, 1, 2)
    assert [row["number"] for row in page["rows"]] == [5]
    assert page["rows"][0]["cells"]["tag"] == "#good-1"
    shown = {column["key"]: column["isShown"] for column in page["columns"]}
    assert (shown["loss"], shown["tag"], shown["extra"], shown["diagnosis"]) == (True, True, False, False)


def test_ten_thousand_trials_are_searched_in_a_moment(info) -> None:
    """By the processor's time, as the machine may be busy."""
    import time

    many = [trial(number, 1.0 / number) for number in range(1, 10_001)]
    began = time.thread_time()
    page = page_of(info, many, TableQuery("norm=batch loss<0.5", order="loss"))
    assert (page["count"], page["rows"][0]["number"]) == (9998, 10_000)
    assert time.thread_time() - began < 0.8


def test_tags_are_words_that_begin_with_a_hash() -> None:
    assert tags_in("#Best of #run-2, #best; not a#b, ##x, http://x/#y or # alone") == ("best", "run-2")
    assert tags_in("none") is None


@pytest.mark.parametrize("query", [{"rows": "0"}, {"rows": "501"}, {"page": "-1"}, {"page": "٣"}, {"state": "DONE"}])
def test_a_query_that_does_not_exist_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        TableQuery.of(query)
