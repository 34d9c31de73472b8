"""Tasks of snapshot."""
