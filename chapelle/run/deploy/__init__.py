"""Bringing servers up from nothing, and taking them out for good: what plans of bare metal do."""
