"""Images: the root image that servers are made of, and the ramdisk that installs it.

Both are made by mmdebstrap from `inventory/image.yml`, twice with the same digest, and kept in the
cache with a manifest of what is in them. `root.ensure(job)` and `ramdisk.ensure(job)` give
them; `known(job)` of both makes nothing.
"""

from chapelle.drivers.image.job import Job, job
from chapelle.drivers.image.store import Built, Manifest, Stored

__all__ = ["Built", "Job", "Manifest", "Stored", "job"]
