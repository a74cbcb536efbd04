"""The worker: takes trials from a server, evaluates them in processes that may die, and reports."""
