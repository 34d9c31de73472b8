"""Switches over SSH: one module a platform, all behind the contract in `contract`."""
