"""The contract as this client speaks it: messages, statuses, and the seam through which they pass."""
