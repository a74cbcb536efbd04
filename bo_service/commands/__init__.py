"""The commands of `bo-service`. What only the server needs is loaded by those that need it."""
