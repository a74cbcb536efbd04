"""A server in memory, for tests of programs that use this client: no socket, no process, no numpy.

    def test_my_tuning():
        server = FakeServer(seed=0)
        study = server.client().create_study("s", space, "loss", goal="minimize", max_trials=5)
        run_my_tuning(study)
        assert study.info().state == "COMPLETED"

It keeps the rules of the real one: states, leases, attempts, request ids, and the same errors for the same mistakes.
It suggests the default configuration first and then at random, never the same twice, and always the same for the same
seed; after the initial trials it says that a surrogate chose. What happens rarely can be made to happen:

    server.advance(3600)               # the clock goes on by an hour: leases run out
    with server.outage(): ...          # nobody answers: ServerUnavailable
    server.calls                       # what was asked: (method, request) pairs

A study that starts from earlier ones gets their best configurations at every second of its initial trials.

With a stopping rule, whichever it is, it stops trials as the median rule does. Its suggestions, `predict` and `slice`
know no surrogate: of every configuration each objective and constraint metric is expected to have the mean and standard
deviation of the results so far. To `analyze`, every parameter matters alike, and the best trial is best for certain.
"""

from bo_client.testing.server import FakeServer

__all__ = ["FakeServer"]
