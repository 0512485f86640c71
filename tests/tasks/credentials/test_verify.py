"""Files found anywhere: what `troupe verify` finds out about each."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions, mark_revoked
from catalogs.retention.forget import forget
from catalogs.retention.revoke import revoke
from catalogs.store.renders import encode_record
from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import make_row
from tasks.credentials.verify import verify_file
from tasks.media.provenance import VideoMetadata
from tasks.media.watermark import PUBLIC_KEY, Watermarker
from tests.clips import make, make_clip, numbered
from tests.tasks.credentials.conftest import SignCopy
from tests.tasks.media.watermark.test_read import SIDE, drawn
from troupe import Job
from troupe.files import file_sha256

PICTURE = "0123456789abcdef" * 2
NOW = datetime(2026, 11, 22, 17, 5, tzinfo=UTC)


@pytest.fixture
def signed(sign_copy: SignCopy, tmp_path: Path) -> Path:
    (tmp_path / "found").mkdir()
    return sign_copy(tmp_path / "found" / "signed.mp4")


@pytest.fixture
def store(signed: Path, sign_copy: SignCopy, portrait: Path, tmp_path: Path) -> Store:
    """A store with the job of the signed video, and its poster."""
    store = open_store(str(tmp_path / "store"))
    poster = sign_copy(tmp_path / "found" / "poster.png", portrait)
    puts = [store.put(path, f"renders/abc/{path.name}", file_sha256(path)) for path in (signed, poster)]
    facts = {"key": "abc", "run_id": "run-7", "job_id": "anna", "outputs": {"full": puts[0].key}, "poster": puts[1].key}
    facts |= {"frames": 10, "fps": [25, 1], "face": [0, 0, 1, 1], "gaps": []}
    store.put_bytes(encode_record(facts, puts), "renders/abc/render.json")
    columns = {"render_key": "abc", "picture_key": PICTURE, "checksum": puts[0].sha256}
    columns |= {"portrait_sha256": file_sha256(portrait), "weights": "fedc"}
    job = Job("anna", "/p/ada.png", "/c/clip.mp4", identity="Ada", consent="consent-12")
    with RowBuffer(store, "run-7") as buffer:
        buffer.append(make_row("run-7", job, "done", started_at=NOW, finished_at=NOW, **columns))
    return store


def test_the_original_is_verified_under_any_name(signed: Path, store: Store, trust: str) -> None:
    found = verify_file(signed.rename(signed.with_name("cat.txt")), store, trust)
    assert (found.state, found.signature, found.signer) == ("verified", "trusted", "troupe test signer")
    assert (found.claimed_by, found.generated) == ("signature", "compositeWithTrainedAlgorithmicMedia")
    assert (found.run_id, found.job_id, found.portrait, found.driving) == ("run-7", "anna", "ada.png", "clip.mp4")
    assert (found.consent, found.weights) == ("consent-12", "fedc")
    assert (found.match, found.status, found.permission) == ("checksum", "done", "unregistered")


def test_the_store_knows_its_posters(store: Store, tmp_path: Path) -> None:
    found = verify_file(tmp_path / "found" / "poster.png", store)
    assert (found.state, found.signature, found.match) == ("verified", "untrusted", "checksum")


def test_without_a_store_only_the_signature_counts(signed: Path, trust: str) -> None:
    assert verify_file(signed, trust=trust).state == "verified"
    found = verify_file(signed)
    assert (found.state, found.match, found.permission) == ("untrusted", None, None)
    assert found.reason == "signing certificate untrusted; name the certificates that you trust with --trust"


@pytest.mark.parametrize(
    "change", [["-vf", "scale=32:24", "-crf", "40"], ["-ss", "0.2", "-c", "copy"]], ids=["re-encoded", "cut"]
)
def test_copies_that_lost_their_signature_still_say_what_they_are(
    signed: Path, store: Store, trust: str, tmp_path: Path, change: list[str]
) -> None:
    found = verify_file(make(tmp_path / "copy.mp4", "-i", str(signed), *change), store, trust)
    assert (found.state, found.signature, found.claimed_by) == ("unsigned", "none", "metadata")
    assert (found.generated, found.run_id, found.job_id) == ("trainedAlgorithmicMedia", "run-7", "anna")
    assert (found.match, found.status, found.permission) == ("claims", "done", "unregistered")


def test_what_has_no_signature_and_is_in_the_store(video: Path, store: Store) -> None:
    """As all films of runs without a signer."""
    job = Job("plain", "/p/ada.png", "/c/clip.mp4")
    columns = {"checksum": file_sha256(video)}
    with RowBuffer(store, "run-8") as buffer:
        buffer.append(make_row("run-8", job, "done", started_at=NOW, finished_at=NOW, **columns))
    found = verify_file(video, store)
    assert (found.state, found.claimed_by, found.run_id, found.permission) == ("verified", "store", "run-8", "missing")


def test_foreign_files(store: Store, trust: str, tmp_path: Path) -> None:
    clip = verify_file(make_clip(tmp_path / "clip.mp4", numbered(3)), store, trust)
    assert (clip.state, clip.claimed_by, clip.match, clip.permission) == ("unknown", "", "none", "unknown")
    (tmp_path / "text").write_text("AI-generated by somebody")
    assert verify_file(tmp_path / "text", store, trust).state == "unknown"
    (tmp_path / "nothing.mp4").touch()
    nothing = verify_file(tmp_path / "nothing.mp4", store, trust)
    assert (nothing.state, nothing.reason) == ("unknown", "it is empty")
    (tmp_path / "photo.jpg").write_bytes(
        b'\xff\xd8\xff\xe1..<rdf Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/'
        b'trainedAlgorithmicMedia"/>'
    )
    other = verify_file(tmp_path / "photo.jpg", store, trust)
    assert (other.state, other.generated, other.generator) == ("unsigned", "trainedAlgorithmicMedia", "")


def test_damaged_files(signed: Path, store: Store, trust: str, tmp_path: Path) -> None:
    content = signed.read_bytes()
    states = {}
    for name, data in {
        "half": content[: len(content) // 2],
        "head": content[:3000],
        "changed": content.replace(b"consent-12", b"consent-13"),
        "longer": content + b"\0\0\0\x10mdat........",
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
        states[name] = verify_file(tmp_path / name, store, trust).state
    assert states == {
        "half": "invalid", "head": "invalid", "changed": "invalid", "longer": "invalid", "empty": "unknown"
    }  # fmt: skip
    assert verify_file(tmp_path / "no.mp4").reason == "there is no such file"
    assert verify_file(tmp_path).state == "unreadable"


def test_a_permission_that_was_withdrawn(signed: Path, store: Store, trust: str, tmp_path: Path) -> None:
    copy = make(tmp_path / "copy.mp4", "-i", str(signed), "-c", "copy")
    shutil.copy(signed, tmp_path / "kept.mp4")
    forget(store, "ada")
    for path, match in ((tmp_path / "kept.mp4", "claims"), (copy, "claims")):
        found = verify_file(path, store, trust)
        assert (found.state, found.match, found.permission) == ("withdrawn", match, "withdrawn")
    # In a store without the job, the portrait alone tells.
    other = open_store(str(tmp_path / "other"))
    forget(other, portraits=[verify_file(signed).portrait_sha256], absent_ok=True)
    assert verify_file(signed, other, trust).state == "withdrawn"


def test_the_register_says_whether_a_permission_is_valid_today(signed: Path, store: Store, trust: str) -> None:
    add_permissions(store, [Permission("consent-12", "Ada", valid_until=date(2026, 1, 31))])
    assert verify_file(signed, store, trust).permission == "expired"
    add_permissions(store, [Permission("consent-12", "Ada")], replace_existing=True)
    assert verify_file(signed, store, trust).permission == "valid"
    mark_revoked(store, "consent-12", "a change of mind")
    found = verify_file(signed, store, trust)
    assert (found.state, found.status, found.permission) == ("withdrawn", "done", "withdrawn")


def test_a_watermark_names_the_picture(store: Store, tmp_path: Path) -> None:
    """A copy that was encoded anew, and has no note either."""
    frames = drawn(1)
    watermarker = Watermarker(PUBLIC_KEY, bytes.fromhex(PICTURE[:16]), (SIDE, SIDE), Fraction(25))
    marked = (watermarker(frame, number) for number, frame in enumerate(frames))
    found = verify_file(make_clip(tmp_path / "clip.mp4", marked), store)
    assert (found.state, found.match, found.claimed_by, found.job_id) == ("unsigned", "watermark", "store", "anna")
    assert found.watermark == PICTURE[:16]


def test_a_copy_that_names_a_withdrawn_film_of_a_shared_picture(store: Store, tmp_path: Path) -> None:
    """Its watermark names the picture, which only the other film still has."""
    permissions = [Permission("consent-12", "Ada"), Permission("consent-13", "Ada")]
    add_permissions(store, permissions)
    job = Job("anna.fr", "/p/ada.png", "/c/clip.mp4", identity="Ada", consent="consent-13", language="fr")
    with RowBuffer(store, "run-7") as buffer:
        columns = {"render_key": "def", "picture_key": PICTURE, "checksum": "00"}
        buffer.append(make_row("run-7", job, "done", started_at=NOW, finished_at=NOW, **columns))
    watermarker = Watermarker(PUBLIC_KEY, bytes.fromhex(PICTURE[:16]), (SIDE, SIDE), Fraction(25))
    clip = make_clip(tmp_path / "clip.mp4", (watermarker(frame, number) for number, frame in enumerate(drawn(1))))
    note = ["-c", "copy", "-metadata", f"comment={VideoMetadata('run-7', 'anna.fr').comment}"]
    named = make(tmp_path / "named.mp4", "-i", str(clip), *note)
    found = verify_file(clip, store)
    assert (found.match, found.permission) == ("watermark", "valid")
    assert [film.job_id for film in found.films] == ["anna", "anna.fr"]  # which of them, it does not say
    found = verify_file(named, store)
    assert (found.match, found.permission, found.job_id, found.films) == ("watermark", "valid", "anna.fr", ())
    revoke(store, "consent-13", "by letter")
    found = verify_file(named, store)
    assert (found.state, found.permission) == ("withdrawn", "withdrawn")


def test_a_segment_of_a_stream_says_that_it_is_one(store: Store, tmp_path: Path) -> None:
    frames = drawn(1)
    watermarker = Watermarker(PUBLIC_KEY, bytes.fromhex(PICTURE[:16]), (SIDE, SIDE), Fraction(25))
    clip = make_clip(tmp_path / "clip.mp4", (watermarker(frame, number) for number, frame in enumerate(frames)))
    playlist = make(tmp_path / "playlist.m3u8", "-i", str(clip), "-c", "copy", "-hls_segment_type", "fmp4")
    segment = next(playlist.parent.glob("*.m4s"))
    found = verify_file(segment, store)
    assert (found.state, found.signature) == ("unknown", "none")
    assert found.reason.startswith("it is a segment of a stream, which is not signed")
    # As the reason advises.
    part = tmp_path / "part.mp4"
    part.write_bytes((tmp_path / "init.mp4").read_bytes() + segment.read_bytes())
    found = verify_file(part, store)
    assert (found.state, found.match, found.watermark) == ("unsigned", "watermark", PICTURE[:16])
