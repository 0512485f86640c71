"""Clip lengths: read from headers, stored by content hash, never an error."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.store import open_store
from tasks.media import decode
from tasks.media.sandbox import Sandbox
from tasks.run.inputs.clip_lengths import ClipLengths, frames_between
from tests.flows.cast import write_clip


def test_a_length_is_read_once_for_all_runs(tmp_path: Path, sandbox: Sandbox) -> None:
    clip, broken = tmp_path / "clip.mp4", tmp_path / "broken.mp4"
    write_clip(clip, frames=9, rate="25")
    broken.write_text("no film")
    store = open_store(str(tmp_path / "store"))
    lengths, hashes = ClipLengths(store, sandbox), ContentHashes(store)
    content = hashes.of(str(clip))
    clips = {content: str(clip), hashes.of(str(broken)): str(broken), "m": str(tmp_path / "missing.mp4")}
    assert lengths.of_many(clips, hashes) == {content: (9, 25.0)}
    lengths.save("one")
    lengths.save("two")
    (name,) = store.list("cache/lengths")  # nothing was learnt since
    clip.unlink()
    assert ClipLengths(store, sandbox).of_many({content: str(clip)}, hashes) == {content: (9, 25.0)}
    store.replace(b"{", name)
    assert ClipLengths(store, sandbox).of_many({content: str(clip)}, hashes) == {}


def test_a_part_has_as_many_frames_as_are_decoded(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, frames=10, rate="25")
    for start, end in ((0.0, None), (0.2, None), (0.0, 0.16), (0.1, 0.3), (0.2, 9.0)):
        assert frames_between((10, 25.0), start, end) == sum(1 for _ in decode(clip, start, end)), (start, end)


@given(
    frames=st.integers(1, 10**6),
    rate=st.floats(1, 240),
    start=st.floats(0, 10**5),
    length=st.none() | st.floats(0.001, 10**5),
)
def test_a_part_is_never_empty_and_never_more_than_all(
    frames: int, rate: float, start: float, length: float | None
) -> None:
    end = None if length is None else start + length
    assert 1 <= frames_between((frames, rate), start, end) <= frames
