"""The self-contained page."""

import base64
import json

import numpy as np
import pytest

from readavatar.media.page import base64_data, json_data, paragraph, picture, script, table, write_page


def test_a_page_carries_its_pictures_and_escapes_text(tmp_path):
    pixels = np.zeros((2, 3, 3), np.uint8)
    write_page(
        tmp_path / "page.html",
        "A < B",
        [paragraph("1 & 2"), picture(pixels, 'the "first"'), table([("x", "<y>")], ("what", "value"))],
    )
    text = (tmp_path / "page.html").read_text()
    assert "A &lt; B" in text and "1 &amp; 2" in text and "<td>&lt;y&gt;</td>" in text
    assert "data:image/png;base64," in text and "http" not in text


def test_data_in_a_page_comes_back_and_cannot_end_its_element():
    value = {"name": "</script><!-- é", "values": [0.5, None]}
    element = json_data("data", value)
    assert element.count("<") == 2
    assert (
        json.loads(element.removeprefix('<script type="application/json" id="data">').removesuffix("</script>"))
        == value
    )
    with pytest.raises(ValueError):
        json_data("data", float("nan"))


def test_a_files_bytes_come_back_from_the_pieces_in_a_page(tmp_path):
    content = np.random.default_rng(0).bytes((3 << 20) + 1000)
    (tmp_path / "file").write_bytes(content)
    first, *pieces, last = base64_data("file", tmp_path / "file")
    assert first.endswith('id="file">') and last == "</script>" and len(pieces) == 2
    assert base64.b64decode("".join(pieces), validate=True) == content


def test_a_script_that_would_end_its_element_is_refused():
    assert script("1 < 2;") == "<script>1 < 2;</script>"
    for code in ("'</SCRIPT>'", "'<!--'"):
        with pytest.raises(ValueError):
            script(code)
