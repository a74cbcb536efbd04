"""The worker: it gets trials from a server, evaluates them in child processes, and reports the results."""
