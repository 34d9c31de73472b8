"""Judges of what tenants ask for, have, and may not reach."""
