"""Frozen types of a datacentre. No I/O but reading a snapshot file, and nothing above is known."""
