"""The twin: nodes and wires built from a snapshot."""

from chapelle.lab.twin import Host, HostStatus, Lab, down, read, status, up

__all__ = ["Host", "HostStatus", "Lab", "down", "read", "status", "up"]
