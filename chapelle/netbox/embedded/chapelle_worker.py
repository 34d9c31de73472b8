# mypy: ignore-errors
"""Runs in NetBox's own Python: one worker for NetBox's queue of background jobs."""

import os

import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "netbox.settings"

if __name__ == "__main__":
    django.setup()
    # SimpleWorker works in this process. A fork a job, of a process of this size, costs more than
    # the jobs do: NetBox queues one (the search index) for every few objects written.
    call_command("rqworker", "high", "default", "low", worker_class="rq.worker.SimpleWorker")
    os._exit(0)  # taking NetBox's objects apart would take seconds, for nothing
