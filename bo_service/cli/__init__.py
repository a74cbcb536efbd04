"""Provide the commands of `bo-service`. Each command imports what only the server needs when it runs."""
