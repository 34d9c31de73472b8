"""A tenant's coming and leaving, from the request to switches that do it, or back."""
