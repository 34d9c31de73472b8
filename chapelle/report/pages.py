"""How the templates in `templates/` are filled in: what is missing is an error, text is escaped."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from chapelle.report.text import clean


def environment(*, multiline: bool = False) -> jinja2.Environment:
    """The templates, and what is done to text that is filled in.

    Control characters, which have no place in a page, are replaced; markup is made by us alone.

    Arguments:
        multiline: text may have several lines.
    """

    def finalize(value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, Markup):
            return clean(value, multiline=multiline)
        return value

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(("html", "svg")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
