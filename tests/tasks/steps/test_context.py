"""The context of a worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from catalogs.requests.access.content_hashes import ContentHashes, Input, content_hash
from catalogs.requests.access.input_policy import trusting
from catalogs.store.store import open_store
from models.faces import prepare_portrait
from models.miniature import SHIPPED_WEIGHTS, draw_portrait
from tasks.steps.context import WorkerConfig, WorkerContext
from tests.catalogs.requests.access.test_guarded_http import serving
from troupe import LARGEST
from troupe.errors import InputError, NoFace, NotAllowed


def error_without_a_face(weights: Path, detector: str, folder: Path) -> str:
    """Return the error for a picture without a face."""
    context = WorkerContext(WorkerConfig(str(folder), str(weights), detector, "cpu", "auto", folder))
    with pytest.raises(NoFace) as error, context.detecting() as found:
        prepare_portrait(np.full((64, 64, 3), 90, np.uint8), found, LARGEST, 64, "grey.png")
    return str(error.value)


def test_the_miniatures_error_names_its_limits(tmp_path: Path) -> None:
    assert "supports drawn people only" in error_without_a_face(SHIPPED_WEIGHTS, "", tmp_path)
    own = tmp_path / "detector.onnx"
    own.write_bytes((SHIPPED_WEIGHTS / "detector.onnx").read_bytes())
    assert "drawn people" not in error_without_a_face(SHIPPED_WEIGHTS, str(own), tmp_path)


def test_a_worker_reads_only_what_its_run_may(tmp_path: Path) -> None:
    config = WorkerConfig(str(tmp_path), "w", "", "cpu", "auto", tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    with serving() as secret:
        url = f"http://127.0.0.1:{secret.port}/a.png"
        with pytest.raises(NotAllowed):
            WorkerContext(config).input(Input(url))
        assert secret.connections == 0
        allowed = replace(config, policy=trusting(f"http://127.0.0.1:{secret.port}/"))
        assert WorkerContext(allowed).input(Input(url)).read_bytes() == b"picture"


def test_a_drawn_face_is_detected(tmp_path: Path) -> None:
    context = WorkerContext(WorkerConfig(str(tmp_path), str(SHIPPED_WEIGHTS), "", "cpu", "auto", tmp_path))
    with context.detecting() as found:
        assert found.detect(draw_portrait(1)[0])


@pytest.fixture
def context(tmp_path: Path) -> WorkerContext:
    return WorkerContext(WorkerConfig(str(tmp_path), str(SHIPPED_WEIGHTS), "", "cpu", "auto", tmp_path / "scratch"))


def test_a_local_input_is_hashed_once_and_again_if_it_changed(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashed = tmp_path / "a.png", []
    path.write_bytes(b"one")
    hashes = ContentHashes(open_store(str(tmp_path / "store")))
    source = hashes.input(str(path), hashes.of(str(path)))
    monkeypatch.setattr("tasks.steps.context.content_hash", lambda path: hashed.append(path) or content_hash(path))
    for _ in range(2):
        assert context.input(source) == path
    assert hashed == [], "its state is the one that was planned for"
    path.write_bytes(b"one")  # the same content, written again
    for _ in range(2):
        assert context.input(source) == path
    assert len(hashed) == 1
    path.write_bytes(b"two")
    with pytest.raises(InputError, match=r"a\.png changed"):
        context.input(source)
    with pytest.raises(InputError, match=r"a\.png changed"):
        context.check_inputs(source)


def test_a_fetched_input_is_compared_with_its_hash(context: WorkerContext) -> None:
    uri, files = "memory://inputs/a.png", fsspec.filesystem("memory")
    files.pipe_file("/inputs/a.png", b"one")
    source = Input(uri, content_hash(context.input(Input(uri))))
    files.pipe_file("/inputs/a.png", b"two")
    with pytest.raises(InputError, match="changed"):
        context.input(source)
    files.pipe_file("/inputs/a.png", b"one")
    assert context.input(source).read_bytes() == b"one"
    assert [path.name for path in (context.config.scratch).glob("input-*/*")] != []


def test_threads_keep_their_inputs_and_notes_apart(context: WorkerContext) -> None:
    """A fetched input is there as long as the item that uses it, however many others are fetched meanwhile."""
    files = fsspec.filesystem("memory")
    for name in "abcdefgh":
        files.pipe_file(f"/threads/{name}", name.encode())

    def fetch(names: str) -> list[Path]:
        for name in names:
            context.note(f"damaged {name}")
        return [context.input(Input(f"memory://threads/{name}")) for name in names]

    (used,) = fetch("a")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(fetch, "bcdefgh").result()
        assert used.read_bytes() == b"a"
        assert thread.submit(context.take_notes).result() == tuple(f"damaged {name}" for name in "bcdefgh")
    assert context.take_notes() == ("damaged a",)
    assert not fetch("bcdefgh")[0].exists(), "only the last ones are kept"


def test_a_picture_of_a_sequence_changes(context: WorkerContext, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(b"%d" % number)
    hashes = ContentHashes(open_store(str(tmp_path / "store")))
    source = hashes.input(str(folder), hashes.of(str(folder)))
    assert len(list(context.input(source).iterdir())) == 2
    (folder / "2.png").write_bytes(b"other")
    with pytest.raises(InputError, match="changed"):
        context.check_inputs(source)
