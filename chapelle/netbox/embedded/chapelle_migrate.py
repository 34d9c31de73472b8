# mypy: ignore-errors
# ruff: noqa: PLC0415 -- Django's parts can be imported after its set-up only
"""Runs in NetBox's own Python: say how many migrations there are, then apply them."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "netbox.settings"


def main() -> None:
    """Print `total N`, then what Django's migrate prints, a line a migration."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    print(f"total {len(plan)}", flush=True)
    call_command("migrate", interactive=False, verbosity=1)


if __name__ == "__main__":
    main()
