"""A page of parts: a template, data as JSON, scripts whose hashes are all that the browser may run."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

_FOLDER = Path(__file__).resolve().parent
_SHARED_SCRIPTS = ("page.js", "table.js")
_SCRIPT_END = re.compile("</(script)", re.IGNORECASE)


def render_page(template: str, scripts: Sequence[str], data: Mapping[str, Any], **context: Any) -> str:
    """The text of a page.

    All text is escaped: the template's by jinja2, that of the data since no ``<`` stands in its JSON. A policy in the
    page's head forbids the browser every request, and every script but those whose hashes it names.

    Parameters
    ----------
    template : str
        A file of the folder `templates`.
    scripts : sequence of str
        Files of the folder `assets`, in order, after those every page has.
    data : mapping
        What the scripts read; numpy's numbers and arrays are Python's, and what is no number is null.
    **context
        What the template reads.

    Returns
    -------
    str
    """
    from plotly.offline import get_plotlyjs

    texts = [get_plotlyjs(), *(_asset(name) for name in (*_SHARED_SCRIPTS, *scripts))]
    embedded = [_SCRIPT_END.sub(r"<\\/\1", text) for text in texts]
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(
        style=Markup(_asset("report.css")),
        scripts=[Markup(text) for text in embedded],
        policy=_policy(embedded),
        data=htmlsafe_json_dumps(_plain(data), separators=(",", ":"), allow_nan=False),
        **context,
    )


def plot_text(text: str) -> str:
    """Text for plotly, which reads some tags and entities in what it draws."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _asset(name: str) -> str:
    return (_FOLDER / "assets" / name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: nothing is fetched, and no script runs but these."""
    # The browser hashes a script as it reads it, with ends of lines as LF.
    hashes = (hashlib.sha256(text.replace("\r\n", "\n").encode()).digest() for text in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; script-src {allowed}; "
        "style-src 'unsafe-inline'; img-src data: blob:"
    )


def _plain(value: Any) -> Any:
    """A value of Python's own, for JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.7g}")
    return value
