"""The files of an FRR switch's links, through a root shell on it: read, taken, compared.

What changes them on the switch is frr_links.sh beside this module, which says how.
"""

import re
from collections.abc import Mapping

from chapelle.drivers.switch.shell import Shell
from chapelle.model import linkfile

RUN = "/run/chapelle"
LIBRARY = "/var/lib/chapelle"

# The directory of the candidate's files, by their names.
CANDIDATE = f"{RUN}/inbox/candidate.links"

# There while the links are not what the files say; see frr_links.sh.
BUSY = f"{RUN}/links-busy"

# Before each file of a list, and before one that is taken as it is.
_FILE = "=file= "
_SAME = "=same= "


def read(shell: Shell) -> dict[str, str]:
    """The files that are there, by path.

    Raises:
        SwitchError: they cannot be read, or the links are not what they say: a change of them is
            under way, was cut short, or failed.
        UnreachableError: the session is lost.
    """
    script = f"""
        if [ -e {BUSY} ]; then echo "a change of them is under way, or failed"; exit 6; fi
        for file in {linkfile.PREFIX}* {linkfile.SYSCTL}; do
          [ ! -f "$file" ] || {{ echo "{_FILE}$file"; cat "$file"; echo; }}
        done"""
    said = shell.must(script, purpose="say what its links are")
    listed = re.split(rf"^{_FILE}(\S+)\n", f"{said}\n", flags=re.MULTILINE)
    texts = [text.rstrip("\n") + "\n" for text in listed[2::2]]
    return dict(zip(listed[1::2], texts, strict=True))


def put(shell: Shell, files: Mapping[str, str]) -> None:
    """Make the directory CANDIDATE of these files, by path.

    A file that says what the one says that is there is taken as that one is, comments and all.

    Raises:
        SwitchError: they cannot be written, or as `read`.
        UnreachableError: the session is lost.
    """
    there = read(shell)
    parts = []
    for path, text in files.items():
        old = there.get(path)
        name = path.rpartition("/")[2]
        if old is not None and linkfile.section(path, old) == linkfile.section(path, text):
            parts.append(f"{_SAME}{name} {path}\n")
        else:
            parts.append(f"{_FILE}{name}\n{text}")
    shell.session.put(f"{RUN}/inbox/links", "".join(parts))
    script = f"""
        rm -rf {CANDIDATE}; mkdir {CANDIDATE}
        awk -v folder={CANDIDATE} '
          /^{_FILE}/ {{ if (file) close(file); file = folder "/" $2; printf "" >file; next }}
          /^{_SAME}/ {{ next }}
          {{ print >file }}' {RUN}/inbox/links
        sed -n 's/^{_SAME}//p' {RUN}/inbox/links | while read -r name path; do
          cp "$path" "{CANDIDATE}/$name" || exit 1
        done"""
    shell.must(script, purpose="take the files of its links")


def difference(shell: Shell, directory: str) -> str:
    """What separates the files that are there from those of a directory; empty if nothing does.

    Raises:
        SwitchError: they cannot be compared.
        UnreachableError: the session is lost.
    """
    script = f'/bin/sh {LIBRARY}/links.sh --diff "$1"'
    said = shell.must(script, directory, purpose="compare its links").strip("\n")
    return f"{said}\n" if said else ""
