"""The self-contained page."""

import numpy as np

from readavatar.media.page import paragraph, picture, table, write_page


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
