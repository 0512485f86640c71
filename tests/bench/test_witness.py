"""The witness: what it learns from, and that its file is read as it was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.cast import CANDIDATES, STRANGERS, gallery
from bench.witness import FILE, RECIPE, SIDE, TOLD, Testimony, open_witness, told
from models.faces import crop_head, head_box
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, Identity, Moment, Performance, render
from models.training.sampling import sample_moment
from tasks.train.loop import result, train
from troupe.errors import WeightsError

FEW = replace(RECIPE, steps=2, batch=4, warmup=0, loaders=0)


def test_a_training_leaves_a_file_that_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.witness.GALLERY", 3)
    train(Testimony(), FEW, tmp_path / "into", tmp_path / "training", device="cpu")
    found = result(tmp_path / "training", FEW)
    assert found is not None
    assert set(found["measured"]) == {*TOLD, "found", "found_elsewhere"}
    assert set(found["losses"]) == {"loss", "wrong", "strange", "right"}
    path = tmp_path / "into" / FILE.name
    assert path.stat().st_size < 1_500_000
    witness = open_witness(path)
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    read, vectors = witness.read(pictures), witness.identify(pictures)
    assert {name: values.shape for name, values in read.items()} == dict.fromkeys(TOLD, (3,))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_an_example_is_one_person_twice_and_follows_from_its_dice() -> None:
    example, again = (Testimony().example(np.random.default_rng(5)) for _ in range(2))
    assert {name: tuple(value.shape) for name, value in example.items()} == {
        "pictures": (2, SIDE, SIDE, 3),
        "truth": (2, len(TOLD)),
    }
    assert all(torch.equal(value, again[name]) for name, value in example.items())
    assert not torch.equal(*example["pictures"]), "in two performances"


def test_nothing_is_learned_from_what_is_kept_for_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    for kind in (Identity, Performance):

        def noted(seed: int, *more: Any, make: Callable[..., Any] = kind.from_seed) -> Any:
            seeds.append(seed)
            return make(seed, *more)

        monkeypatch.setattr(kind, "from_seed", noted)
    for number in range(5):
        Testimony().example(np.random.default_rng(number))
    assert len(seeds) >= 15
    assert max(seeds) < FIRST_HELD_OUT_SEED


def test_lids_do_not_go_beyond_wide_open() -> None:
    said = told(Moment(yaw=3, left=1.2, right=-0.1))
    assert list(said) == list(TOLD)
    assert (said["yaw"], said["eyes"]) == (3, 0.5)


def test_no_witness_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="trains one"):
        open_witness(tmp_path / "none.safetensors")


def test_the_witness_of_the_repository_reads_and_knows() -> None:
    """On people and performances that it did not learn from; of fewer, hardly anybody blinks."""
    witness, heads, truths, rng = open_witness(), [], [], np.random.default_rng(24)
    for number in range(CANDIDATES):
        done = sample_moment(rng, measuring=True)
        picture, face = render(Identity.from_seed(STRANGERS + number), done, CLIP_SIZE)
        heads.append(crop_head(picture, head_box(face.box, *CLIP_SIZE), SIDE))
        truths.append(told(done))
    pictures = np.stack(heads)
    read = witness.read(pictures)
    for name in TOLD:
        assert np.corrcoef(read[name], [truth[name] for truth in truths])[0, 1] > 0.8, name
    found = (witness.identify(pictures) @ gallery(witness, moved=False).T).argmax(axis=1) == np.arange(CANDIDATES)
    assert found.mean() > 0.8
