"""Filters of our roles: thin ways into functions of the package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chapelle.plan import networkd


def administrators_principals(administrators: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The AuthorizedPrincipalsFile of each administrator, as files of chapelle_apply."""
    return [
        {
            "path": f"/etc/ssh/principals.d/{person['name']}",
            "content": "".join(f"{name}\n" for name in person["principals"]),
        }
        for person in administrators
    ]


def administrators_users(administrators: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The accounts of administrators, as users of chapelle_apply."""
    return [
        {"name": person["name"], "comment": person.get("comment", "")} for person in administrators
    ]


class FilterModule:
    """Ansible asks it for the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "chapelle_networkd": networkd.files,
            "chapelle_principals": administrators_principals,
            "chapelle_users": administrators_users,
        }
