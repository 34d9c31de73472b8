"""Tenants: whether there is room for them, what they may see, and that nobody reaches anybody."""
