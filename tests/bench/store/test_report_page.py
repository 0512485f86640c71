"""bench.store.report_page: the page it opens has what it should."""

from __future__ import annotations

from pathlib import Path

from bench.store.report_page import write_page
from tests.catalogs.report.test_page import Page


def test_every_picture_is_there(tmp_path: Path) -> None:
    path = write_page(tmp_path, 45)
    page = Page(path.read_text())
    assert len(page.all("article")) == 45
    images = [path.parent / image["src"] for image in page.all("img")]
    assert len(images) == 44 * 3
    assert all(image.is_file() for image in images)
