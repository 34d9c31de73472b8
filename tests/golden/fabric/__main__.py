"""Make the golden configurations again: .venv/bin/python -m tests.golden.fabric

Refuses (exit 1), and writes nothing, when they would leave a branch of a template untaken.
"""

import sys

from tests.golden.fabric.switches import ROOT, present, rendered


def main() -> int:
    files, untaken = rendered()
    if untaken:
        print("These branches of templates are taken by no golden switch; nothing was written:")
        print("".join(f"  {branch}\n" for branch in sorted(untaken)), end="")
        print("Add a switch to tests/golden/fabric/switches.py that takes them.")
        return 1
    for path in sorted(present() - files.keys()):
        print(f"removed {path.relative_to(ROOT)}")
        path.unlink()
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    print(f"{len(files)} golden files; every branch of every template is taken.")
    return 0


sys.exit(main())
