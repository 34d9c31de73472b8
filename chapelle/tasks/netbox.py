"""Tasks of netbox."""
