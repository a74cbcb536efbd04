"""The dashboard, and the way in for JSON over HTTP: a client of the gRPC service, served to browsers and to curl.

    http://127.0.0.1:8080/                                                   the dashboard
    http://127.0.0.1:8080/bo_api.v1.OptimizationService/SuggestTrials        any method of the contract, by Connect

It keeps nothing and decides nothing: each request goes on to the server with the token of whoever made it, so that the
server's roles hold here. `bo dashboard` and `bo-service serve --dashboard` start it, as a process of its own.
"""
