"""Finding the points most worth trying."""
