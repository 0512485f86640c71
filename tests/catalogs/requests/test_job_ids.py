"""catalogs.requests.job_ids: ids that depend on a row's content, not on its place."""

from __future__ import annotations

from itertools import permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from catalogs.requests.job_ids import unique_names
from catalogs.requests.jobs_file import parse_jobs
from catalogs.store.keys import valid_job_id

ROWS = [
    "\u738b\u5c0f\u660e.png,hello.mp4,,",
    "\u674e\u56db.png,hello.mp4,,",
    "a/ana.png,wave.mp4,fr,",
    "a/ana.png,wave.mp4,de,",
    "a/ana.png,wave.mp4,,voice/\u041e\u043b\u044f.wav",
    "b/ana.png,wave.mp4,,",
    "c/ana.png,wave.mp4,,",
]


def ids(rows: list[str]) -> dict[str, str]:
    text = "portrait,driving,language,audio\n" + "\n".join(rows)
    jobs = parse_jobs(text.encode(), "x.csv", "/data")
    return {row: job.job_id for row, job in zip(rows, jobs, strict=True)}


def test_letters_of_every_script_are_kept() -> None:
    found = list(ids(ROWS).values())
    assert found[:5] == [
        "\u738b\u5c0f\u660e__hello",
        "\u674e\u56db__hello",
        "ana__wave__fr",
        "ana__wave__de",
        "ana__wave__\u041e\u043b\u044f",
    ]
    assert all(job_id.startswith("ana__wave-") for job_id in found[5:])
    assert len(set(found)) == len(found)


def test_ids_depend_neither_on_the_order_nor_on_other_rows() -> None:
    expected = ids(ROWS)
    shuffled = ROWS.copy()
    Random(1).shuffle(shuffled)
    assert ids(shuffled) == expected
    for removed in ROWS[:5]:
        left = [row for row in ROWS if row != removed]
        assert ids(left) == {row: expected[row] for row in left}


def test_a_language_is_named_once() -> None:
    """A dub's file names its language already."""
    rows = [
        f"ada.png,welcome.mp4,{language},{sound}"
        for language, sound in [
            ("fr", "welcome.fr.wav"),
            ("pt-BR", "dubs/pt_BR/take-pt_BR.wav"),
            ("de", "de.wav"),
            ("de", "modern.wav"),
            ("fr", "fr-fr.wav"),
        ]
    ]
    assert list(ids(rows).values()) == [
        "ada__welcome__fr",
        "ada__welcome__pt-BR__take",
        "ada__welcome__de",
        "ada__welcome__de__modern",
        "ada__welcome__fr__fr",
    ]


def test_plain_and_long_names() -> None:
    names = ["Ana Mar\u00eda!", "Ana-Mar\u00eda", "..", "p" * 200, "\u754c" * 90]
    made = [ids([f"{name}.png,wave.tar.mp4,,"]).popitem()[1] for name in names]
    assert made == [
        "Ana-Mar\u00eda__wave.tar",
        "Ana-Mar\u00eda__wave.tar",
        "x__wave.tar",
        f"{'p' * 60}__wave.tar",
        f"{chr(0x754C) * 20}__wave.tar",
    ]


def test_ids_that_the_file_sets_are_respected() -> None:
    text = "portrait,driving,job_id\na.png,w.mp4,\nb/a.png,w.mp4,a__w\na.png,w.mp4,\n"
    first, second, third = (job.job_id for job in parse_jobs(text.encode(), "x.csv", "/data"))
    assert second == "a__w"
    assert third == f"{first}-2"  # the same row twice


@given(st.lists(st.tuples(st.text(min_size=1, max_size=80), st.sampled_from("ab")), min_size=1, max_size=4))
def test_ids_are_valid_and_unique(names: list[tuple[str, str]]) -> None:
    rows = [f"{folder}/{''.join(c for c in name if c.isalnum() or c in ' -')}.png,w.mp4,," for name, folder in names]
    text = "portrait,driving,language,audio\n" + "\n".join(rows)
    found = [job.job_id for job in parse_jobs(text.encode(), "x.csv", "/data")]
    assert all(map(valid_job_id, found))
    assert len(set(found)) == len(found)


def test_every_order_gives_a_row_the_same_id() -> None:
    rows = ["a/x.png,w.mp4,,", "b/x.png,w.mp4,,", "c/x.png,w.mp4,fr,"]
    assert len({tuple(sorted(ids(list(order)).items())) for order in permutations(rows)}) == 1


def test_names_of_files_in_an_evaluation() -> None:
    """Clips whose names have no ASCII letters used to share one portrait."""
    names = unique_names(["/c/\u738b.mp4", "/c/\u674e.mp4", "/c/Wave.mp4", "/c/wave.mov", "/c/a b.mp4"])
    assert list(names.values())[:2] == ["\u738b", "\u674e"]
    assert names["/c/a b.mp4"] == "a-b"
    assert len({name.casefold() for name in names.values()}) == 5
    assert names["/c/Wave.mp4"].startswith("Wave-")
