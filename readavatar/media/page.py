"""Self-contained HTML pages: pictures, clips and tables in a single file that works offline.

A page is a Jinja template in the folder of the module that fills it. All extend ``media/base.html.j2`` and use
``media/parts.html.j2`` for pictures and tables. Values are escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from readavatar.files import replacing_file

_BASE64_PIECE = 3 << 20
"""Bytes; a multiple of three, so that the pieces' base64 can be concatenated."""


def write_page(path: str | Path, template: str, **values: Any) -> None:
    """Write a page.

    Args:
        path: The HTML file.
        template: Its path inside the package, such as ``doctor/report.html.j2``.
        values: The template's variables. Iterators are written piece by piece, to save memory.

    Raises:
        ValueError: A value that is written as JSON contains NaN or infinity.
    """
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(_ENVIRONMENT.get_template(template).generate(**values))


def png_uri(source: Path | UInt8[np.ndarray, "H W 3"]) -> str:
    """A PNG file, or pixels, as a data URI."""
    if isinstance(source, Path):
        data = source.read_bytes()
    else:
        buffer = io.BytesIO()
        Image.fromarray(source).save(buffer, "PNG")
        data = buffer.getvalue()
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def base64_pieces(path: Path) -> Iterator[str]:
    """A file's bytes in base64, in pieces, in constant memory."""
    with path.open("rb") as file:
        while piece := file.read(_BASE64_PIECE):
            yield base64.b64encode(piece).decode()


def _source(name: str) -> str:
    """A style or script of the package."""
    return _LOADER.get_source(_ENVIRONMENT, name)[0]


_LOADER = PackageLoader("readavatar", "")
_ENVIRONMENT = Environment(
    loader=_LOADER,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["png_uri"] = png_uri
_ENVIRONMENT.globals["source"] = _source
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
