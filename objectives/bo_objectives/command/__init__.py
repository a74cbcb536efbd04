"""Any program as an objective: it reads its parameters from its arguments, and prints its metrics as JSON lines."""
