"""Methods that stop trials early, compared at equal epochs on recorded curves."""
