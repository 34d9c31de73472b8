"""Tasks of runs."""
