"""Changes as plain data, in the shape of `chapelle.model.outcome.Change`."""

import difflib

DIFF_LINES = 100  # of one file; what goes beyond is counted, not shown
HIDDEN = "(sensitive: content not shown)"

Change = dict[str, str]


def change(
    role: str, kind: str, item: str, *, before: str = "", after: str = "", diff: str = ""
) -> Change:
    """One change: what it was, and what it is or would be."""
    return {
        "role": role,
        "kind": kind,
        "item": item,
        "before": before,
        "after": after,
        "diff": diff,
    }


def text_diff(path: str, before: str, after: str) -> str:
    """A unified diff of a file's text."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        fromfile=path,
        tofile=path,
        n=2,
    )
    whole = [line if line.endswith("\n") else line + "\n" for line in lines]
    if len(whole) > DIFF_LINES:
        whole[DIFF_LINES:] = [f"... {len(whole) - DIFF_LINES} more lines\n"]
    return "".join(whole)
