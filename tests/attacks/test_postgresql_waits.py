"""PostgreSQL that is stopped, cut off, or silent after a commit never holds a thread beyond the call's deadline."""

import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import bo_client
import pytest
from sqlalchemy import make_url

from tests.attacks.conftest import SPACE
from tests.attacks.test_storage_truth import NOT_SERVING, SERVING, wait_for_health
from tests.chaos.proxy import FaultProxy
from tests.conftest import PostgresServer
from tests.e2e.conftest import ServerProcess
from tests.processes import children_of

DEADLINE_S = 2.0
FAR_S = 30.0
"""Far less than the general bound on a wait, and far more than a deadline of two seconds takes on a slow machine."""
ENDED = re.compile(r"(?:GetStudy|SuggestTrials|CreateTrial|ListStudies) [A-Z_]+ ([0-9.]+) ms")
LANE = 16
"""Threads that answer most calls: so many calls that hang hold all of them."""
Outage = Callable[[PostgresServer, FaultProxy], AbstractContextManager[None]]


@contextmanager
def stopped(database: PostgresServer, _: FaultProxy) -> Iterator[None]:
    """All of PostgreSQL's processes, with SIGSTOP: the system still takes connections."""
    pids = [database.pid, *children_of(database.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def cut_off(_: PostgresServer, proxy: FaultProxy) -> Iterator[None]:
    """The network passes nothing on, on new connections neither, and says nothing."""
    with proxy.black_hole():
        yield


@pytest.fixture
def database(postgres_programs: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(postgres_programs)
    server.start()
    yield server
    server.close()


@pytest.fixture
def served(database: PostgresServer, tmp_path: Path) -> Iterator[tuple[ServerProcess, FaultProxy]]:
    url = make_url(database.make_database())
    with FaultProxy(("127.0.0.1", database.port)) as proxy:
        there = url.set(port=int(proxy.address.rpartition(":")[2])).render_as_string(hide_password=False)
        server = ServerProcess(tmp_path / "server", "--processes", "1", "--metrics", "127.0.0.1:0", url=there)
        server.start()
        yield server, proxy
        server.stop()


def attempt(client: bo_client.Client, act: Callable[[bo_client.Client], object]) -> Exception | None:
    """What a call is told."""
    try:
        act(client)
    except bo_client.BoClientError as error:
        return error
    return None


def durations(server: ServerProcess) -> list[float]:
    """Seconds that each call has taken on the server, of those that have ended."""
    return [float(ms) / 1000 for ms in ENDED.findall(server.log)]


def in_progress(server: ServerProcess) -> float:
    """How many calls hold a thread. No other metric is asked for: some are counted in the database."""
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", server.log)
    with urllib.request.urlopen(f"{url}?name[]=bo_rpc_in_flight", timeout=FAR_S) as response:
        return sum(float(line.split()[-1]) for line in response.read().decode().splitlines() if line[0] != "#")


@pytest.mark.parametrize("outage", [stopped, cut_off])
def test_no_call_is_held_beyond_its_deadline(
    database: PostgresServer, served: tuple[ServerProcess, FaultProxy], outage: Outage
) -> None:
    server, proxy = served
    with bo_client.connect(server.address) as client:
        studies = [
            client.create_study(name, SPACE, "loss", goal="minimize", algorithm="quasi_random") for name in ("s", "t")
        ]
        running = studies[0].suggest(LANE)
    acts: list[Callable[[bo_client.Client], object]] = [
        lambda c: c.study("s").info(),
        lambda c: c.study("s").suggest(),
        lambda c: c.study("t").add({"x": 0.5}, {"loss": 1.0}),
        lambda c: list(c.studies()),
    ]
    acts *= LANE
    with ExitStack() as stack:
        connected = [stack.enter_context(bo_client.connect(server.address)) for _ in acts]
        for client in connected:  # a deadline that passes while a client connects would be no call of the server's
            client.study_info("s")
        clients = [bo_client.Client(client.transport, DEADLINE_S, 0.0) for client in connected]
        stack.enter_context(outage(database, proxy))
        pool = stack.enter_context(ThreadPoolExecutor(len(acts)))
        for _ in range(2):  # were a thread held, the second round would find none
            before = len(durations(server))
            told = list(pool.map(attempt, clients, acts))
            assert all(isinstance(error, bo_client.ServerUnavailable | bo_client.DeadlineExceeded) for error in told)
            deadline = time.monotonic() + FAR_S
            while held := in_progress(server):
                assert time.monotonic() < deadline, f"{held:.0f} calls still hold a thread"
                time.sleep(0.1)
            ended = durations(server)[before:]
            assert len(ended) >= LANE
            assert max(ended) < FAR_S
            print(f"{len(ended)} calls, the longest held a thread for {max(ended):.2f} s")
        wait_for_health(server.address, NOT_SERVING)
    began = time.monotonic()
    with bo_client.connect(server.address, patience=FAR_S, timeout=DEADLINE_S) as client:
        assert client.study("t").add({"x": 0.25}, {"loss": 1.0})
        assert client.study("t").info().ended >= 1
        print(f"another study's calls go on {time.monotonic() - began:.2f} s after it continues")
    wait_for_health(server.address, SERVING)
    with bo_client.connect(server.address, patience=60.0) as client:
        assert client.study("s").trial(running[0].number).state is bo_client.TrialState.RUNNING
