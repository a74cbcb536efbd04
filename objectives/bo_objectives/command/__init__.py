"""Any program as an objective: it gets its parameters in its arguments, and prints its metrics as JSON lines."""
