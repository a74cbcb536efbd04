"""Mathematics that knows nothing of studies."""
