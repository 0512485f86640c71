"""catalogs.requests.image_sequences, and what catalogs.requests.inputs makes of it in every kind of store."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.image_sequences import display_name, is_pattern, ordered_pictures
from catalogs.requests.inputs import localise, stat
from catalogs.requests.jobs_file import parse_jobs
from catalogs.store.store import Store
from tests.catalogs.requests.conftest import write
from troupe.errors import MissingInput


def test_patterns() -> None:
    for uri in ("a/%05d.png", "s3://b/f/%d.png", "a/*.jpg", "a/x_*.png"):
        assert is_pattern(uri)
    for uri in ("a/b.mp4", "a*/b.mp4", "%05d/a.mp4", "s3://b/%d0%b0.mp4", "https://h/%05d.png", "https://h/*.png", "a"):
        assert not is_pattern(uri)
    assert [display_name(uri) for uri in ("/a/take/%05d.png", "s3://b/take/*.png", "/a/take", "/a/x.mp4")] == [
        *("take/%05d.png", "take/*.png", "take", "x.mp4")
    ]


@given(st.lists(st.integers(0, 2000), min_size=1, unique=True), st.sampled_from(["%d", "%03d", "%05d"]))
def test_numbers_are_an_order_and_have_no_gaps(numbers: list[int], form: str) -> None:
    names = [f"f{form % number}.png" for number in numbers]
    lacking = set(range(min(numbers), max(numbers) + 1)) - set(numbers)
    expected = [f"f{form % number}.png" for number in sorted(numbers)]
    assert ordered_pictures("x/*.png", names, "*.png") == expected
    for pattern in (f"f{form}.png", ""):
        if lacking:
            with pytest.raises(MissingInput, match=f"the number {min(lacking)} is missing"):
                ordered_pictures("x", names, pattern)
        else:
            assert ordered_pictures("x", [*names, "note.txt", ".hidden"], pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "found", "expected"),
    [
        ("%03d.png", ["002.png", "001.png", "1.png", "0003.png", "003.jpg"], ["001.png", "002.png"]),
        ("%d.png", ["10.png", "9.png", "09.png"], ["9.png", "10.png"]),
        ("b*.png", ["a1.png", "b10.png", "b9.png"], ["b9.png", "b10.png"]),
        ("", ["Thumbs.db", "B.PNG", "a.png"], ["B.PNG", "a.png"]),
        ("", ["take2_7.png", "take1_8.png"], ["take1_8.png", "take2_7.png"]),
    ],
)
def test_pictures_that_match_a_pattern(pattern: str, found: list[str], expected: list[str]) -> None:
    assert ordered_pictures("x", found, pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "found", "message"),
    [
        ("%03d.png", ["1.png", "a.png"], "/x contains no pictures"),
        ("", ["a.txt"], "contains no pictures"),
        ("", ["1.png", "2.jpg"], r"several formats, jpg, png; choose one, such as \*.jpg"),
        ("*", ["1.png", "2.jpg"], "several formats"),
        ("", ["f_1.png", "f_2.png", "f_4.png"], "the number 3 is missing after f_2.png"),
    ],
)
def test_invalid_sequences_are_reported(pattern: str, found: list[str], message: str) -> None:
    with pytest.raises(MissingInput, match=message):
        ordered_pictures("/x", found, pattern)


@pytest.mark.parametrize("form", ["", "/", "/%d.png", "/*.png"])
def test_in_every_store(form: str, place: str, tmp_path: Path) -> None:
    for number in (9, 10, 11):
        write(f"{place}/frames/{number}.png", b"%d" % number)
    write(f"{place}/frames/notes.txt", b"")
    uri = f"{place}/frames{form}"
    before = stat(uri)
    assert (before.size, bool(before.version)) == (5, True)
    assert stat(uri) == before
    for _ in range(2):
        local = localise(uri, tmp_path / "work")
        assert [(path.name, path.read_bytes()) for path in sorted(local.iterdir())] == [
            *(("0000001.png", b"9"), ("0000002.png", b"10"), ("0000003.png", b"11"))
        ]
    write(f"{place}/frames/10.png", b"ten")
    assert stat(uri) != before


def test_content_is_that_of_the_pictures_in_their_order(folder_store: Store, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, numbers in ((first, (1, 2)), (second, (7, 8))):
        for number, content in zip(numbers, (b"one", b"two"), strict=True):
            write(str(folder / f"{number}.png"), content)
    hashes = ContentHashes(folder_store)
    same = hashes.of(str(first))
    assert hashes.of(str(second)) == same == hashes.of(f"{first}/%d.png")
    hashes.save("r1")
    assert ContentHashes(folder_store, on_read=lambda *_: pytest.fail("read twice")).of(str(first)) == same
    write(str(first / "2.png"), b"other")
    assert ContentHashes(folder_store).of(str(first)) != same


def test_jobs_are_named_after_the_folder() -> None:
    rows = b"portrait,driving\nada.png,take 1/%05d.png\nada.png,take 1/*.png\nada.png,take2/\n"
    jobs = parse_jobs(rows, "jobs.csv", "s3://bucket/x")
    first, second, third = (job.job_id for job in jobs)
    assert first.startswith("ada__take-1-")
    assert second.startswith("ada__take-1-")
    assert (first != second, third) == (True, "ada__take2")
    assert jobs[0].driving == "s3://bucket/x/take 1/%05d.png"
