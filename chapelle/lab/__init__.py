"""The twin: nodes and wires built from a snapshot."""

from chapelle.lab.notes import Host, Lab, not_exercised, read
from chapelle.lab.twin import HostStatus, down, end, status, up

__all__ = ["Host", "HostStatus", "Lab", "down", "end", "not_exercised", "read", "status", "up"]
