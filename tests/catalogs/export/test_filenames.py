"""catalogs.export.filenames: names of delivered files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.export.filenames import NameTemplate
from catalogs.store.store import open_store
from catalogs.table.schema import SCHEMA
from troupe.errors import SettingsError

COLUMNS = SCHEMA.names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../{job_id}.mp4", "leads out"),
        ("a/../../{job_id}.mp4", "leads out"),
        ("/etc/{job_id}.mp4", "leads out"),
        ("a\\{job_id}.mp4", "leads out"),
        ("", "leads out"),
        ("{jobid}.mp4", "no job has"),
        ("{job_id.__class__}.mp4", "no job has"),
        ("{job_id[0]}.mp4", "no job has"),
        ("{job_id!r}.mp4", "only a column"),
        ("{job_id:>99}.mp4", "only a column"),
        ("{job_id", "invalid name template"),
        ("{}.mp4", "no job has"),
    ],
)
def test_templates_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        NameTemplate(text, COLUMNS)


def test_names() -> None:
    template = NameTemplate("{identity}/{tags.scene}/{job_id}", COLUMNS)
    entry = {"identity": "Jos\u0065\u0301 Ü", "tags": [("scene", "2/b")], "job_id": "a"}
    assert template.name(entry, ".mp4") == "José Ü/2-b/a.mp4"
    assert template.name({"identity": "CON", "tags": None, "job_id": "nul"}, ".mp4") == "_CON/unknown/_nul.mp4"
    assert NameTemplate("{{{job_id}}}.MP4", COLUMNS).name(entry, ".mp4") == "{a}.MP4"


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_makes_a_name_inside_the_folder(identity: str, language: str) -> None:
    template = NameTemplate("x/{identity}/{language}_{tags.t}.mp4", COLUMNS)
    name = template.name({"identity": identity, "language": language, "tags": [("t", identity)]}, ".mp4")
    first, second, third = name.split("/")
    assert first == "x"
    assert second not in ("", ".", "..")
    for part in (second, third):
        assert len(part.encode()) <= 255
        assert part.isprintable()
        assert not set(part) & set('<>:"/\\|?*')
    assert open_store("memory://names").uri(name)
