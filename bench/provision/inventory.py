"""pyinfra's inventory: the hosts that bench/provision.py wrote down."""

import json
import os
from pathlib import Path

hosts = [
    (name, data) for name, data in json.loads(Path(os.environ["BENCH_HOSTS"]).read_text()).items()
]
