"""Tasks of lab."""
