"""The contract in this client: messages, statuses and the transport."""
