"""The dashboard, and the service's methods as JSON over HTTP: a client of the gRPC service for browsers and curl.

    http://127.0.0.1:8080/                                                   the dashboard
    http://127.0.0.1:8080/bo_api.v1.OptimizationService/SuggestTrials        any method, by the Connect protocol

The dashboard has no state of its own: each request is passed to the server with the token of its caller, so the
server's roles apply. `bo dashboard` and `bo-service serve --dashboard` start it as a separate process.
"""
