"""Changes to switches: one device at a time in a transaction, all of them in a rollout."""
