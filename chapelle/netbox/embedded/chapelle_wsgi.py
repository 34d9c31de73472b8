# mypy: ignore-errors
"""Runs in NetBox's own Python, loaded once by gunicorn before it forks its workers.

Accounts are made here because Django's start costs seconds and is paid here anyway.
"""

import sys
from pathlib import Path

from django.conf import settings
from netbox.wsgi import application as netbox
from whitenoise import WhiteNoise

# isort: split
# After netbox.wsgi, which sets Django up.
import chapelle_accounts

STATIC = Path(sys.prefix) / "root" / "static"

chapelle_accounts.ensure()
# NetBox reads the style of what it draws, rack elevations and cable traces, when it draws it.
settings.STATIC_ROOT = str(STATIC)
application = WhiteNoise(netbox, root=STATIC, prefix="static/", max_age=3600)
