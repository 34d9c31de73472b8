"""Judges what is examined when a tenant's space is handed over: pure.

Nothing is called passed that nobody looked at: where there is no meter, no probe or no answer, the
evidence says so. When it was taken is noted by whoever took it.
"""
