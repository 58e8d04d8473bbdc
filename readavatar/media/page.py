"""One self-contained HTML page: pictures, clips and tables inside a single file that any browser opens offline."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from readavatar.files import replacing_file

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em}"
    "img,video,canvas{max-width:100%}figure{margin:1.5em 0}table{border-collapse:collapse}"
    "td,th{padding:.25em 1.2em .25em 0;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
)
_BASE64_PIECE = 3 << 20
"""Bytes; a multiple of three, so that the pieces' base64 joined is the whole's."""


def write_page(path: str | Path, title: str, parts: Iterable[str], style: str = "") -> None:
    """Write a page.

    Args:
        path: The HTML file.
        title: Plain text; the page's heading.
        parts: HTML in order, as the functions below give it.
        style: CSS after the common one.
    """
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}{style}</style><h1>{html.escape(title)}</h1>"
    )
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(head)
        file.writelines(parts)  # one by one: a long video is never in memory whole
        file.write("</html>")


def paragraph(text: str) -> str:
    """Plain text."""
    return f"<p>{html.escape(text)}</p>"


def picture(source: Path | UInt8[np.ndarray, "H W 3"], caption: str) -> str:
    """A PNG file, or pixels, with a caption."""
    if isinstance(source, Path):
        data = source.read_bytes()
    else:
        buffer = io.BytesIO()
        Image.fromarray(source).save(buffer, "PNG")
        data = buffer.getvalue()
    text = html.escape(caption, quote=True)
    return f'<figure><img src="{data_uri(data, "image/png")}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows of plain text."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def script(code: str) -> str:
    """JavaScript of our own.

    Raises:
        ValueError: It holds what would end the element, or begin a comment in it.
    """
    if "</script" in code.lower() or "<!--" in code:
        raise ValueError("Expected a script without '</script' and '<!--'.")
    return f"<script>{code}</script>"


def json_data(identifier: str, value: object) -> str:
    """A value that a script reads with ``JSON.parse(document.getElementById(identifier).textContent)``.

    Raises:
        ValueError: It holds NaN or infinity, which JSON has not.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    # The only character that could end the element early.
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{html.escape(identifier, quote=True)}">{text}</script>'


def base64_data(identifier: str, path: Path) -> Iterator[str]:
    """A file's bytes in base64, as the text of an element that a script decodes; in pieces, in constant memory."""
    yield f'<script type="text/plain" id="{html.escape(identifier, quote=True)}">'
    with path.open("rb") as file:
        while piece := file.read(_BASE64_PIECE):
            yield base64.b64encode(piece).decode()
    yield "</script>"


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as an address that carries them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
