"""Custom validators for NetBox; see docs/netbox-validators.md of the clone.

NetBox imports them by the dotted paths of CUSTOM_VALIDATORS, when its models are loaded. Nothing is
imported here, so that this package itself can be imported before.
"""
