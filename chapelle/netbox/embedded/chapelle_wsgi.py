# mypy: ignore-errors
"""Runs in NetBox's own Python, loaded once by gunicorn before it forks its workers.

Accounts are made here because Django's start costs seconds and is paid here anyway.
"""

import sys
from pathlib import Path

from netbox.wsgi import application as netbox
from whitenoise import WhiteNoise

# isort: split
# After netbox.wsgi, which sets Django up.
import chapelle_accounts

chapelle_accounts.ensure()
application = WhiteNoise(
    netbox, root=Path(sys.prefix) / "root" / "static", prefix="static/", max_age=3600
)
