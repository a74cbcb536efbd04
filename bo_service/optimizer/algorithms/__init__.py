"""How the next configurations are chosen."""
