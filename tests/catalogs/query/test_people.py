"""People of a catalog, whatever the spelling of their identity."""

from __future__ import annotations

from catalogs.query.job_index import JobIndex
from catalogs.query.people import find_person, list_people
from catalogs.store.store import Store
from tests.catalogs.conftest import record, row
from troupe.errors import NoFace


def test_one_person_in_every_spelling(folder_store: Store) -> None:
    rows = [
        row("r1", "a", identity="Zoë Müller", render_key="f1", picture_key="p1", language="fr"),
        row("r1", "b", identity="zoe\u0308  MÜLLER", render_key="f2", picture_key="p1", language="de"),
        row("r1", "c", "reused", identity="Zoë Müller", render_key="f1", picture_key="p1"),
        row("r1", "d", "failed", identity="Zoë Müller", error=NoFace("no face"), render_key="f3"),
        row("r1", "e", identity="Ana", render_key="f4") | {"identity_key": None},  # of an earlier version
        row("r1", "f"),
    ]
    record(folder_store, "r1", rows)
    index = JobIndex(folder_store)
    people, total, after = list_people(index, ["Bo", "ANA"])
    assert [(person.label, len(person.films)) for person in people] == [("Ana", 1), ("Bo", 0), ("Zoë Müller", 2)]
    assert (total, after) == (3, "")
    person = find_person(index, " ZOË MÜLLER")
    assert person is not None
    assert person.labels == ["Zoë Müller", "zoe\u0308  MÜLLER"]
    assert person.films == {"f1": "p1", "f2": "p1"}
    assert person.counts == {"done": 2, "reused": 1, "failed": 1}
    assert person.languages == ["de", "fr"]
    assert find_person(index, "nobody") is None
    assert find_person(index, "") is None
    assert find_person(index, "bo", ["Bo"]) == people[1]


def test_pages_of_people(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", f"job-{n}", identity=f"person {n:02}") for n in range(25)])
    index, after, found = JobIndex(folder_store), "", []
    for _ in range(3):
        people, total, after = list_people(index, after=after, limit=10)
        found += [person.label for person in people]
        assert total == 25
    assert after == ""
    assert found == [f"person {n:02}" for n in range(25)]
    assert [person.label for person in list_people(index, search="SON 1")[0]] == [f"person {n}" for n in range(10, 20)]
    assert list_people(index, search="x") == ([], 0, "")
