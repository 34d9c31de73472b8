"""Tasks of provision."""
