"""The simulated queue against what queueing theory says of it."""

import pytest

from benchmarks.scaling import Cost, Work, capacity, simulated

WORK = Work()
ALIKE = dict.fromkeys(WORK.rates(), Cost([0.01], 0.01))
"""Every call takes 10 ms of the processor, and nothing else."""


@pytest.mark.parametrize("used", [0.3, 0.6, 0.8])
def test_with_one_server_and_constant_times_it_is_an_m_d_1_queue(used: float) -> None:
    found = simulated(ALIKE, WORK, used / 0.01, servers=1, calls=200_000)
    waited = 0.01 * used / (2 * (1 - used))  # Pollaczek and Khinchine
    assert sum(found) / len(found) == pytest.approx(0.01 + waited, rel=0.05)


def test_two_servers_make_less_wait_at_the_same_use() -> None:
    one = simulated(ALIKE, WORK, 80, servers=1, calls=50_000)
    two = simulated(ALIKE, WORK, 160, servers=2, calls=50_000)
    assert sum(two) < 0.8 * sum(one)


def test_what_is_not_the_processors_delays_but_holds_nobody_up() -> None:
    costs = dict.fromkeys(WORK.rates(), Cost([0.11], 0.01))
    assert min(simulated(costs, WORK, 80, servers=1, calls=5_000)) == pytest.approx(0.11)
    lengths = zip(simulated(costs, WORK, 80, 1, 5_000), simulated(ALIKE, WORK, 80, 1, 5_000), strict=True)
    assert all(delayed - alone == pytest.approx(0.1) for delayed, alone in lengths)


def test_what_workers_ask_for() -> None:
    work = Work(lease_s=60.0, trial_s=600.0)
    assert work.calls(10_000) == pytest.approx(10_000 * (4 / 60 + 2 / 600))
    assert capacity(ALIKE, work) == pytest.approx(100.0)
