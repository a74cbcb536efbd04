"""How well and how fast the optimizer works, beside its peers."""
