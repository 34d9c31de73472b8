"""The twin: nodes and wires built from a snapshot."""

from chapelle.lab.image import ensure as make_image
from chapelle.lab.notes import Host, Lab, not_exercised, read
from chapelle.lab.twin import HostStatus, down, end, status, up

__all__ = [
    "Host",
    "HostStatus",
    "Lab",
    "down",
    "end",
    "make_image",
    "not_exercised",
    "read",
    "status",
    "up",
]
