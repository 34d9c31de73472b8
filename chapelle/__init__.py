"""chapelle: provisions a datacentre from NetBox, reproducibly. See docs/architecture.md."""

__version__ = "0.1.0"
