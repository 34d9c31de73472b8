"""Runs inside the ramdisk, with the standard library of Python alone. See docs/image.md."""
