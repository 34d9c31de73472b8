"""Booting hosts over the network, each only while its boot window is open: see docs/boot.md."""

from chapelle.drivers.boot.configuration import Place
from chapelle.drivers.boot.opened import Opened
from chapelle.drivers.boot.service import BootService

__all__ = ["BootService", "Opened", "Place"]
