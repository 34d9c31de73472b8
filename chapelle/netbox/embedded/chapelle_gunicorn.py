# mypy: ignore-errors
"""Gunicorn's configuration (a Python file by its own convention); runs in NetBox's own Python.

A process that has loaded NetBox takes seconds to take its objects apart at exit, for nothing:
everything that outlives it is in PostgreSQL by then. So it leaves at once.
"""

import gc
import os
from pathlib import Path

bind = f"fd://{os.environ['CHAPELLE_NETBOX_LISTENER']}"
wsgi_app = "chapelle_wsgi:application"
pythonpath = str(Path(__file__).parent)
preload_app = True
workers = min(4, max(2, os.cpu_count() or 2))
threads = 4
timeout = 120
graceful_timeout = 5
limit_request_line = 8190
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True


def when_ready(_server) -> None:
    """Before the first fork: keep the collector off what all workers share."""
    gc.collect()
    gc.freeze()


def worker_exit(_server, _worker) -> None:
    """Last thing in a worker, after its requests."""
    os._exit(0)


def on_exit(_server) -> None:
    """Last thing in the master, after its workers."""
    os._exit(0)
