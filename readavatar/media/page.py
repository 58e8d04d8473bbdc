"""One self-contained HTML page: pictures, clips and tables inside a single file that any browser opens offline."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
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


def write_page(path: str | Path, title: str, parts: Iterable[str], style: str = "") -> None:
    """Write a page.

    Args:
        path: The HTML file.
        title: Plain text; the page's heading.
        parts: HTML in order, as the functions below give it.
        style: CSS after the common one.
    """
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}{style}</style><h1>{html.escape(title)}</h1>{''.join(parts)}</html>"
    )
    with replacing_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


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


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as an address that carries them."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
