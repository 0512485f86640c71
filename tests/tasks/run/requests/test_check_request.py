"""The check of a request before anything expensive."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from models.miniature import SHIPPED_WEIGHTS
from tasks.run.request import Request
from tasks.run.requests.check_request import check_request
from tests.s3 import BUCKET
from troupe.errors import BadJob, SettingsError, StoreError, TroupeError, WeightsError


@pytest.fixture
def valid(tmp_path: Path) -> Request:
    """A request that passes."""
    (tmp_path / "weights").mkdir()
    shutil.copy(SHIPPED_WEIGHTS / "detector.onnx", tmp_path / "weights")
    (tmp_path / "jobs.csv").write_text("portrait,driving\na.png,b.mp4\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.mp4", "gif")
    return Request(str(tmp_path / "store"), str(tmp_path / "weights"), str(tmp_path / "jobs.csv"))


def test_a_valid_request_passes(valid: Request) -> None:
    check_request(valid)


def test_weights_and_detector_in_the_home_folder(
    valid: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run takes them, also where no shell replaces the `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    check_request(Request(valid.store, "~/weights", valid.jobs, detector="~/weights/detector.onnx"))


def test_planning_does_not_write_to_the_store(valid: Request, tmp_path: Path) -> None:
    check_request(valid, write=False)
    assert not (tmp_path / "store").exists()


def test_a_missing_weights_directory_is_called_that(valid: Request, tmp_path: Path) -> None:
    request = Request(valid.store, str(tmp_path / "nowhere"), valid.jobs)
    with pytest.raises(WeightsError, match=r"^the weights directory \S+/nowhere does not exist; .*weights pull"):
        check_request(request)
    request = Request(valid.store, str(valid.jobs), valid.jobs)
    with pytest.raises(WeightsError, match=r"jobs.csv is a file, not a weights directory"):
        check_request(request)


def test_a_directory_without_a_detector(valid: Request, tmp_path: Path) -> None:
    (tmp_path / "weights" / "detector.onnx").unlink()
    with pytest.raises(WeightsError, match=r"has no detector .* --detector"):
        check_request(valid)
    check_request(Request(valid.store, valid.weights, valid.jobs, detector=str(SHIPPED_WEIGHTS / "detector.onnx")))
    with pytest.raises(WeightsError, match=r"no.onnx does not exist"):
        check_request(Request(valid.store, valid.weights, valid.jobs, detector=str(tmp_path / "no.onnx")))


def test_all_problems_are_reported_together(valid: Request, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("portrait\nno.png\n")
    request = Request(
        valid.store, "nowhere", valid.jobs, device="gpu", dtype="float8", max_quality={"beauty": 1.0}, detector=""
    )
    with pytest.raises(SettingsError) as caught:
        check_request(request)
    text = str(caught.value)
    assert text.startswith("the request has 6 problems:\n  ")
    for part in (
        "driving",
        "no.png",
        "invalid device 'gpu'",
        "invalid dtype 'float8'",
        "'beauty'",
        "/nowhere does not exist",
    ):
        assert part in text
    assert not (tmp_path / "store").exists()


def test_a_single_problem_keeps_its_class(valid: Request, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("portrait\na.png\n")
    with pytest.raises(BadJob):
        check_request(valid)


def test_a_missing_bucket_is_one_line(valid: Request, s3: str) -> None:
    with pytest.raises(StoreError) as caught:
        check_request(Request(f"s3://{BUCKET}-that-does-not-exist/troupe", valid.weights, valid.jobs))
    assert "does not exist" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_preset_fast_needs_a_distilled_denoiser(valid: Request) -> None:
    """Which is said before anything is planned, once for all jobs."""
    with pytest.raises(WeightsError, match=r"has no distilled denoiser.*`troupe train FILE --part fast`"):
        check_request(replace(valid, defaults={"preset": "fast"}))


def test_problems_of_all_rows_are_reported_together(valid: Request, tmp_path: Path) -> None:
    """Also what rows need of the weights beside invalid cells, and files that are missing beside what they need."""

    def problems(*rows: str) -> list[str]:
        (tmp_path / "jobs.csv").write_text("\n".join(("portrait,driving,audio,lips,preset,label", *rows)))
        with pytest.raises(TroupeError) as caught:
            check_request(replace(valid))  # whose jobs are read again
        assert isinstance(caught.value, BadJob | SettingsError | WeightsError)
        return list(caught.value.problems) or [caught.value.message]

    silent = "a.png,b.mp4,none,sound,,"
    missing, fast, dub = "no.png,b.mp4,,,,", "a.png,b.mp4,,,fast,", "a.png,b.mp4,dub.{language}.wav,,,"
    texts = ("lips follow the sound, but audio is none", "no.png does not exist", "no distilled denoiser")
    texts = (*texts, "no file like", "no font", "no voice")
    for rows, expected in (
        ((silent, missing, fast), (*texts[:3], texts[5])),
        ((dub, missing, "a.png,b.mp4,,,,\U00012345"), (texts[1], texts[3], texts[4])),
        ((missing, fast), texts[1:3]),
        ((missing, "a.png,b.mp4,,sound,,", "a.png,b.mp4,,,,\U00012345"), (texts[1], *texts[4:])),
        ((fast,), texts[2:3]),
    ):
        found = problems(*rows)
        assert len(found) == len(expected), found
        assert all(any(text in problem for problem in found) for text in expected), found


def test_labels_and_the_watermark_key_are_checked(valid: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(valid, defaults={"label": "ai-generated", "language": "de"})
    check_request(request)
    monkeypatch.setenv("TROUPE_WATERMARK_KEY", "short")
    with pytest.raises(SettingsError, match="the watermark key has 5 bytes"):
        check_request(request)
    check_request(replace(request, defaults={"watermark": "off"}))
    with pytest.raises(SettingsError, match=r"2 problems:(\n.*)*label '\U00012345': no font(\n.*)*|watermark key"):
        check_request(replace(valid, defaults={"label": "\U00012345"}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ruby.png", b"picture", "is not a face detector; use an .onnx"),
        ("ruby.onnx", b"\x89PNG picture", "cannot be read as an ONNX network"),
        ("empty.onnx", b"", "is not an SCRFD network"),
        ("ruby.pt", b"picture", "cannot be read as a TorchScript module"),
    ],
)
def test_a_file_that_is_no_detector(valid: Request, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        check_request(replace(valid, detector=str(tmp_path / name)))
    with pytest.raises(WeightsError, match="not an SCRFD network"):
        check_request(replace(valid, detector=str(SHIPPED_WEIGHTS / "arcface.onnx")))


def test_a_store_that_is_a_file_is_no_fault_of_the_rows(valid: Request, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("portrait,driving,audio\na.png,b.mp4,c.wav\na.png,b.mp4,c.{language}.wav\n")
    (tmp_path / "file").touch()
    for store, message in ((tmp_path / "file", "^the store .*file is a file; "), (tmp_path / "file" / "x", "policy")):
        with pytest.raises((SettingsError, StoreError), match=message) as caught:
            check_request(replace(valid, store=str(store)))
        assert "row" not in str(caught.value)
