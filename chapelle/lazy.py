"""Imports a large library when it is first used, and not whenever the program starts.

Every command imports every task, and with them what any task may need: Netmiko, Paramiko, pyroute2
and ansible-runner took half of the time that a command needed before it began. Python has a
statement for it from 3.15 on (PEP 810); until then:

    if TYPE_CHECKING:
        import netmiko
    else:
        netmiko = lazy.library("netmiko")
"""

from importlib import import_module
from typing import Any


class _Library:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def library(name: str) -> Any:
    """The library of that name, imported when an attribute of it is asked for."""
    return _Library(name)
