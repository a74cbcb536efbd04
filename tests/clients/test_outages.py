"""Servers that go away and come back."""

import threading

import bo_client
import pytest
from bo_client import retries


def test_calls_wait_for_a_server_that_is_back_in_time(server, study) -> None:
    patient = server.client(patience=120.0).study("s")
    with server.outage():
        threading.Timer(0.5, lambda: setattr(server, "is_down", False)).start()
        (trial,) = patient.suggest()
    assert trial.number == 1
    assert len({r.request_id for m, r in server.calls if m == "SuggestTrials"}) == 1


def test_patience_ends(server, study) -> None:
    hasty = server.client(patience=0.3).study("s")
    with server.outage(), pytest.raises(bo_client.ServerUnavailable):
        hasty.info()


def test_a_watch_goes_on_where_it_was(server, study) -> None:
    changes = study.watch(patience=120.0)
    first = next(changes)
    with server.outage():
        threading.Timer(0.3, lambda: setattr(server, "is_down", False)).start()
        threading.Timer(0.6, lambda: study.enqueue({"lr": 0.5, "norm": "batch"})).start()
        second = next(changes)
    assert second.revision > first.revision
    assert [t.number for t in second.trials] == [1]


def test_delays_grow_and_are_spread() -> None:
    waits = retries.delays()
    drawn = [next(waits) for _ in range(50)]
    assert drawn[0] <= retries.FIRST_DELAY
    assert max(drawn) <= retries.MAX_DELAY
    assert len(set(drawn[10:])) > 30


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(bo_client.InvalidRequest, match="HOST:PORT"):
        bo_client.connect("localhost")


def test_nobody_listening_is_told_with_the_address() -> None:
    with (
        bo_client.connect("127.0.0.1:1", patience=0.0) as client,
        pytest.raises(bo_client.ServerUnavailable, match=r"127\.0\.0\.1:1"),
    ):
        client.study("s")
