"""Tasks of image: what servers are installed from."""

import sys

from chapelle.errors import ExitCode
from chapelle.tasks._command import command


@command(
    help={
        "verify": "Make both a second time, and compare: exit code 99 if they differ.",
        "json": "Print the manifests as JSON.",
    }
)
def build(_context: object, *, verify: bool = False, json: bool = False) -> ExitCode:
    """Make the root image and the ramdisk of inventory/image.yml, unless the cache has them."""
    import msgspec

    from chapelle.drivers import image
    from chapelle.drivers.image import ramdisk, root
    from chapelle.settings import Settings

    job = image.job(Settings.load(), _say)
    built = [kind.ensure(job) for kind in (root, ramdisk)]
    different = []
    if verify:
        first = built
        built = [kind.ensure(job, again=True) for kind in (root, ramdisk)]
        for one, other in zip(first, built, strict=True):
            for name, stored in one.manifest.files.items():
                if other.manifest.files[name] != stored:
                    different.append((name, stored, other.manifest.files[name]))
    if json:
        print(msgspec.json.encode([each.manifest for each in built]).decode())
    else:
        for each in built:
            for name, stored in each.manifest.files.items():
                mib = stored.size / 2**20
                print(f"{stored.sha256}  {mib:7.1f} MiB  {each.file(name)}")
    for name, stored, other in different:
        _say(f"{name} differs: first {stored.sha256}, then {other.sha256}")
    if verify and not different:
        _say("made twice, to the same digests")
    return ExitCode.FINDINGS if different else ExitCode.OK


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
