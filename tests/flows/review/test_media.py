"""flows.review.media: ranges of what rows name, by signed paths, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalogs.store.store import Store
from flows.review.media import MediaSigner, parse_range
from flows.review.security import Secrets
from tests.catalogs.conftest import store as store
from tests.flows.review.conftest import Review, review_of
from tests.flows.review.stores import film

DATA = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=10-", (10, 100)),
        ("bytes=10-1000", (10, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=-0", "unsatisfiable"),
        ("bytes=100-", "unsatisfiable"),
        (f"bytes={'9' * 5000}-", "unsatisfiable"),
        (f"bytes=5-{'9' * 5000}", (5, 100)),
        (f"bytes=-{'9' * 5000}", (0, 100)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("frames=0-1", None),
        ("bytes=0x1-5", None),
        ("bytes=²-5", None),
        ("", None),
    ],
)
def test_ranges(header: str, expected: Any) -> None:
    assert parse_range(header, 100) == expected


def test_videos_are_served_in_ranges_from_every_store(store: Store) -> None:
    entry = film(1)
    store.put_bytes(DATA, f"renders/{entry['render_key']}/full.mp4")
    client = review_of(store).client()
    path = review_of(store).context.media.video(entry)
    assert client.get(path).status_code == 404, "signed by another process"
    review = review_of(store)
    client, path = review.client(), review.context.media.video(entry)
    whole = client.get(path)
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    part = client.get(path, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, DATA[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(DATA)}"
    assert client.get(path, headers={"Range": "bytes=-7"}).content == DATA[-7:]
    outside = client.get(path, headers={"Range": f"bytes={len(DATA)}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
    etag = whole.headers["etag"]
    assert client.get(path, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert client.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).content == DATA
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(DATA)))


def test_a_path_that_is_changed_is_not_served(review: Review) -> None:
    client, secrets = review.client(), review.context.secrets
    path = review.context.media.video(film(1))
    assert client.get(path).status_code == 200
    _, media, expires, signature, kind, key, name = path.split("/")
    other = film(2)["render_key"]
    for changed in (
        (str(int(expires) + 900), signature, kind, key, name),
        (expires, signature[::-1], kind, key, name),
        (expires, "", kind, key, name),
        (expires, signature, "inputs", key, name),
        (expires, signature, kind, other, name),
        (expires, signature, kind, key, "poster.jpg"),
        (expires, signature, kind, key, "render.json"),
        (expires, signature, kind, "..", "policy.toml"),
        (expires, signature, kind, "%2e%2e%2f%2e%2e", "etc"),
    ):
        assert client.get(f"/{media}/{'/'.join(changed)}").status_code == 404, changed
    past = secrets.sign("media", f"900/{kind}/{key}/{name}")
    assert client.get(f"/media/900/{past}/{kind}/{key}/{name}").status_code == 404, "expired"


@pytest.mark.parametrize(
    "row",
    [
        {"render_key": "../../etc"},
        {"render_key": ".."},
        {"render_key": "a/b"},
        {"render_key": ""},
        {"full_uri": "/store/renders/x/.."},
        {"full_uri": "/store/renders/x/render.json"},
        {"full_uri": "/store/renders/x/page.html"},
        {"full_uri": "/store/renders/x/drawing.svg"},
        {"full_uri": "/store/renders/x/a\\b.mp4"},
        {"full_uri": "/store/renders/x/\0.mp4"},
    ],
)
def test_rows_that_name_other_files_get_no_path(review: Review, row: dict[str, str]) -> None:
    assert review.context.media.video(film(1) | row) == ""


def test_links_in_the_store_are_not_followed(review: Review, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    entry = film(3)
    video = Path(review.context.store.url) / "renders" / entry["render_key"] / "full.mp4"
    video.unlink()
    video.symlink_to(secret)
    answer = review.client().get(review.context.media.video(entry))
    assert answer.status_code in (404, 503)
    assert b"secret" not in answer.content


def test_inputs_are_shown_only_from_named_folders(review: Review, tmp_path: Path) -> None:
    named, other = tmp_path / "clips", tmp_path / "clips-of-others"
    for folder in (named, other):
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "a.mp4").write_bytes(b"clip")
    (named / "link.mp4").symlink_to(other / "in" / "a.mp4")
    (named / "secret.txt").write_bytes(b"secret")
    signer = MediaSigner(Secrets(), review.context.store, [named])
    assert signer.input(str(named / "in" / "a.mp4")).endswith("/input.mp4")
    assert signer.input((named / "in" / "a.mp4").as_uri()).endswith("/input.mp4")
    for uri in (
        str(other / "in" / "a.mp4"),
        str(named / ".." / other.name / "in" / "a.mp4"),
        str(named / "link.mp4"),
        str(named / "secret.txt"),
        str(named / "missing.mp4"),
        str(named),
        "a.mp4",
        "s3://bucket/a.mp4",
        "/etc/passwd",
        f"{named}/in/a.mp4\0.mp4",
        None,
    ):
        assert signer.input(uri) == "", uri
    assert MediaSigner(Secrets(), review.context.store).input(str(named / "in" / "a.mp4")) == ""
