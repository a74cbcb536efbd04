"""Test programs that use this client: against the server in this process, or against prepared answers.

The real server, over a private database; needs `pip install 'bo-service[server]'`:

    def test_my_tuning():
        server = InProcessServer()
        study = server.client().create_study("s", space, "loss", goal="minimize", max_trials=5)
        run_my_tuning(study)
        assert study.info().state == "COMPLETED"

What happens rarely can be made to happen:

    server.advance(3600)               # the clock goes on by an hour: leases expire
    with server.outage(): ...          # nobody answers: ServerUnavailable
    server.calls                       # what was asked: (method, request) pairs

The same study with the same results is suggested the same configurations, in every run of a test. A study created with
`algorithm="quasi_random"` computes no surrogate and is answered within milliseconds.

Without the server's libraries, `CannedTransport` gives a client the answers that a test prepares.
"""

from bo_client.testing.canned import CannedTransport
from bo_client.testing.in_process import InProcessServer

__all__ = ["CannedTransport", "InProcessServer"]
