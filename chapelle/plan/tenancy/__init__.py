"""From a tenant's request to what has to change in NetBox and on the switches."""
