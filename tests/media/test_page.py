"""The self-contained page."""

import base64
import json
import re
from importlib.resources import files

import jinja2
import numpy as np
import pytest

from readavatar.directing.report import write_report
from readavatar.media import page
from readavatar.media.page import base64_pieces, png_uri, write_page


@pytest.fixture
def fill(monkeypatch, tmp_path):
    """Write a page from a template's text and read it."""

    def write(text, **values):
        loader = jinja2.ChoiceLoader([jinja2.DictLoader({"tried.html.j2": text}), page._ENVIRONMENT.loader])
        monkeypatch.setattr(page._ENVIRONMENT, "loader", loader)
        write_page(tmp_path / "page.html", "tried.html.j2", **values)
        return (tmp_path / "page.html").read_text()

    return write


def test_a_page_carries_its_pictures_and_escapes_text(tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(base64.b64decode(png_uri(np.zeros((2, 3, 3), np.uint8)).partition(",")[2]))
    rows = [("x", "<y>")]
    write_report(
        tmp_path / "page.html", "A < B", "a&b.mp4", {'the "first"': picture}, rows, "1 & 2", {"<i>": "fit.html"}
    )
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!doctype html>") and text.count("<h1>A &lt; B</h1>") == 1
    assert "<title>A &lt; B</title>" in text and "<p>1 &amp; 2</p>" in text and "<td>&lt;y&gt;</td>" in text
    assert 'src="a&amp;b.mp4"' in text and 'alt="the &#34;first&#34;"' in text and "<i>" not in text
    assert text.count(png_uri(picture)) == 1 and "http" not in text


def test_data_in_a_page_comes_back_and_cannot_end_its_element(fill):
    value = {"name": "</script><!-- é", "values": [0.5, None]}
    text = fill("<script>{{ data | tojson }}</script>", data=value)
    assert text.count("<") == 2 and json.loads(re.fullmatch(r"<script>(.*)</script>", text)[1]) == value


def test_data_that_json_has_not_and_values_that_are_missing_leave_no_page(fill, tmp_path):
    for text, values in (("{{ data | tojson }}", {"data": float("nan")}), ("{{ absent }}", {})):
        with pytest.raises((ValueError, jinja2.UndefinedError)):
            fill(text, **values)
    assert not list(tmp_path.iterdir())


def test_a_files_bytes_come_back_from_the_pieces_in_a_page(tmp_path):
    content = np.random.default_rng(0).bytes((3 << 20) + 1000)
    (tmp_path / "file").write_bytes(content)
    pieces = list(base64_pieces(tmp_path / "file"))
    assert len(pieces) == 2 and base64.b64decode("".join(pieces), validate=True) == content


def test_what_is_written_as_it_stands_cannot_end_its_element():
    folder = files("readavatar.viewer")
    script = (folder / "viewer.js").read_text().lower()
    assert "</script" not in script and "<!--" not in script
    assert "<" not in (folder / "viewer.css").read_text()
