"""catalogs.report: the page as text; tests/browser looks at it as a person does."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from catalogs.report import render_page, write_report
from catalogs.report.facts import collect_facts
from catalogs.store.store import Store
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import conform, table_of
from tests.catalogs.conftest import NOON, row
from troupe import __version__
from troupe.errors import NoFace, SettingsError, StoreError

NASTY = "\"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'&amp;"


class Page(HTMLParser):
    """What a browser would make of it: elements, their attributes, visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._inside):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made(job: str, **columns: Any) -> dict[str, Any]:
    """A row of a job that was done."""
    key = f"key-{job}"
    files = {name: f"/store/renders/{key}/{file}" for name, file in (("full_uri", "full.mp4"), ("poster_uri", "p.jpg"))}
    video = {"frames": 50, "seconds": 2.0, "bytes": 10**6, "width": 512, "height": 512}
    rate = {"fps_numerator": 25, "fps_denominator": 1}
    keys = {"render_key": key, "appearance_key": "app", "motion_key": "mot"}
    return {**row("r1", job, **(files | video | rate | keys)), **columns}


def test_how_a_run_was_made() -> None:
    rows = [
        made("one", audio="driving"),
        made("two", audio="s3://bucket/songs/la%20mer.wav"),
        row("r1", "bad", "failed", error=NoFace("none")),
    ]
    page = Page(render_page("/store", "r1", rows, "/models/scrfd.onnx"))
    assert f"Made with troupe {__version__}." in page.text
    assert "Detector /models/scrfd.onnx." in page.text
    assert "of the clip" in page.text
    assert "la%20mer.wav" in page.text
    assert "driving clip wave.mp4" in page.text
    assert "attempts" not in page.text, "a column without a value"
    again = Page(render_page("/store", "r1", [row("r1", "bad", "failed", error=NoFace("none"), attempts=2)]))
    assert "attempts" in again.text


def test_a_page_summarises_the_run() -> None:
    rows = [
        made("one", identity="Ana", tags=[("scene", "1")], seconds_denoise=3.0, seconds_vae=1.0, device="H100"),
        made("two", finished_at=NOON + timedelta(seconds=95), flagged="identity 0.2, asked for 0.5 at least"),
        row("r1", "bad", "failed", error=NoFace("no face found in b.png")),
        row("r1", "late", "cancelled"),
    ]
    text = render_page("/store", "r1", rows)
    page = Page(text)
    for expected in (
        "1 min 35 s",
        "no face found in b.png",
        "troupe retry r1 --store /store",
        "H100",
        "scene",
        "2.0 MB",
    ):
        assert expected in page.text
    assert "identity 0.2, asked for 0.5 at least" in page.text
    assert [article["data-job"] for article in page.all("article")] == ["bad", "late", "one", "two"]
    images = [image["src"] for image in page.all("img")]
    assert images[:3] == [
        "../../../cache/appearance/app.jpg",
        "../../../cache/motion/mot.jpg",
        "../../../renders/key-one/p.jpg",
    ]
    assert all(image["loading"] == "lazy" and image["alt"] for image in page.all("img"))
    assert [a["href"] for a in page.all("a") if a.get("class") == "frame play"] == [
        "../../../renders/key-one/full.mp4",
        "../../../renders/key-two/full.mp4",
    ]
    # Nothing from elsewhere, nothing that runs but the page's own script.
    assert [link["href"] for link in page.all("link")] == ["data:,"]  # so that no server is asked for an icon
    assert [script.get("src") for script in page.all("script")] == [None]
    assert "http://" not in text
    assert "https://" not in text


def test_an_empty_run_has_a_page() -> None:
    assert "0 jobs" in Page(render_page("/store", "r1", [])).text


def test_html_in_rows_is_text() -> None:
    rows = [
        made("one", identity=NASTY, driving=f"/clips/{NASTY}", language=NASTY, tags=[(NASTY, NASTY)], flagged=NASTY),
        {**row("r1", "bad", "failed", error=NoFace(NASTY)), "error_kind": NASTY, "consent": NASTY},
        made("two", render_key='x" onload="alert(3)', weights=NASTY, device=NASTY, code_version=NASTY),
    ]
    rows[0]["job_id"] = NASTY
    page = Page(render_page(f"/store/{NASTY}", "r1", rows))
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert all(image["src"].startswith("../../../") for image in page.all("img"))
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert "{{ 7 * 7 }}" in page.text
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_outliers() -> None:
    rows = [made(f"j{n}", quality_identity=0.8 + n / 1000, quality_flicker=1.0) for n in range(20)]
    rows += [made("worse", quality_identity=0.2), made("better", quality_identity=0.99)]
    facts = collect_facts("r1", rows, 100)
    assert [(o.job_id, o.measure) for o in facts.outliers] == [("worse", "identity similarity")]
    assert collect_facts("r1", rows[:7], 100).outliers == ()


def test_many_jobs_failures_first() -> None:
    rows = [made(f"j{n:03}") for n in range(30)] + [row("r1", "z", "failed", error=NoFace("no"))]
    facts = collect_facts("r1", iter(rows), 10)  # one look at each is enough
    assert (len(facts.cards), facts.left_out, facts.jobs) == (10, 21, 31)
    assert facts.cards[-1].job_id == "z"


def test_the_page_is_written_to_the_store(store: Store, tmp_path: Path) -> None:
    with RowBuffer(store, "r1") as buffer:
        buffer.append(row("r1", "a"))
    with pytest.raises(StoreError):
        write_report(store, "r1")
    write_manifest(store, "r1")
    assert write_report(store, "r1") == write_report(store, "r1") == "runs/r1/report/index.html"
    assert store.read("runs/r1/report/index.html").startswith(b"<!doctype html>")
    with pytest.raises(SettingsError):
        write_report(store, "../r1")


def test_a_manifest_of_the_first_version() -> None:
    import pyarrow.parquet as pq

    old = pq.read_table(Path(__file__).parents[1] / "version1" / "runs/old/manifest.parquet")
    assert "no face found" in Page(render_page("/store", "old", conform(old).to_pylist())).text
    assert conform(old).schema == table_of([]).schema


def family(*languages: str, **columns: Any) -> list[dict[str, Any]]:
    """Rows of the films of one picture."""
    sound = {"fit": "hold", "loudness_lufs": -23.04, "sync_offset_frames": -2, "sync_confidence": 0.71}
    film = {"picture_key": "pic", "identity": "Ana", **sound, **columns}
    return [
        made(f"welcome.{tag}", language=tag, audio=f"/dubs/{tag}.wav", audio_cut_seconds=n / 10, **film)
        for n, tag in enumerate(languages)
    ]


def test_films_of_a_picture_are_shown_together() -> None:
    rows = [*family("en", "fr", "pt-BR"), made("other", picture_key="pic2"), made("old", picture_key=None)]
    rows[1] |= {"status": "reused", "flagged": "too late", "tags": [("client", "acme")]}
    page = Page(render_page("/store", "r1", rows))
    assert "5 jobs" in page.text
    articles = {article["data-job"]: article for article in page.all("article")}
    assert list(articles) == ["old", "other", "welcome"]
    assert articles["welcome"]["data-status"] == "done reused"
    assert articles["welcome"]["data-jobs"] == "3"
    assert "data-flagged" in articles["welcome"]
    links = [a for a in page.all("a") if a.get("class") == "film"]
    assert [a["href"] for a in links] == [
        f"../../../renders/key-welcome.{tag}/full.mp4" for tag in ("en", "fr", "pt-BR")
    ]
    assert [a.get("aria-current") for a in links] == ["true", None, None]
    for expected in ("2 done, 1 reused", "welcome.pt-BR", "-23.0 LUFS", "hold, 0.20 s cut", "fr.wav"):
        assert expected in page.text
    assert "welcome.fr: too late" in page.text
    assert "sound 2 frames early, confidence 0.71" in page.text
    assert page.text.count("acme") == 1


def test_frames_are_those_of_pictures_that_the_run_rendered() -> None:
    """A run that reuses its pictures renders none; films of one picture share its frames."""
    reused = Page(render_page("/store", "r1", family("en", "fr")))
    assert "frames rendered0" in "".join(reused.text.split("\n"))
    assert "throughput" not in reused.text
    rows = family("en", "fr", finished_at=NOON + timedelta(seconds=10))
    rows[0] |= {"seconds_denoise": 3.0}
    rendered = "".join(Page(render_page("/store", "r1", rows)).text.split("\n"))
    assert "frames rendered50" in rendered
    assert "throughput5.0 frames/s" in rendered


@pytest.mark.parametrize("offset", [0, -3])
def test_an_offset_of_little_confidence_is_not_clear(offset: int) -> None:
    rows = family("en", sync_confidence=0.42, sync_offset_frames=offset)
    text = Page(render_page("/store", "r1", rows)).text
    assert "not clear, confidence 0.42" in text
    assert "in sync" not in text
    assert "early" not in text


def test_a_single_film_tells_its_sound() -> None:
    page = Page(render_page("/store", "r1", family("en", sync_lse_c=6.5, sync_lse_d=7.25, sync_offset_frames=0)))
    assert [article["data-job"] for article in page.all("article")] == ["welcome.en"]
    assert not [a for a in page.all("a") if a.get("class") == "film"]
    assert "in sync, confidence 0.71, LSE-C 6.50, LSE-D 7.25" in page.text
    assert "-23.0 LUFS" in page.text
