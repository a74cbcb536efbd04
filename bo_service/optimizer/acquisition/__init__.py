"""How much a point is worth trying."""
