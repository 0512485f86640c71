"""bench.support.judge: its training examples, and reading its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.support.judge import FILE, RECIPE, SIDE, TRAITS, JudgeObjective, open_judge, true_traits
from bench.support.reenactment import CANDIDATES, STRANGERS, encode_gallery
from models.faces import crop_head, head_box
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, Identity, Moment, Performance, render
from models.training.sampling import sample_moment
from tasks.train.loop import train
from tasks.train.results import result
from troupe.errors import WeightsError

FEW = replace(RECIPE, steps=2, batch=4, warmup=0, loaders=0)


def test_training_writes_a_file_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.support.judge.GALLERY", 3)
    train(JudgeObjective(), FEW, tmp_path / "into", tmp_path / "training", device="cpu")
    found = result(tmp_path / "training", FEW)
    assert found is not None
    assert set(found["measured"]) == {*TRAITS, "found", "found_elsewhere"}
    assert set(found["losses"]) == {"loss", "traits", "identity", "accuracy"}
    path = tmp_path / "into" / FILE.name
    assert path.stat().st_size < 1_500_000
    judge = open_judge(path)
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    read, vectors = judge.read(pictures), judge.identify(pictures)
    assert {name: values.shape for name, values in read.items()} == dict.fromkeys(TRAITS, (3,))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_an_example_is_one_person_twice_and_deterministic() -> None:
    example, again = (JudgeObjective().example(np.random.default_rng(5)) for _ in range(2))
    assert {name: tuple(value.shape) for name, value in example.items()} == {
        "pictures": (2, SIDE, SIDE, 3),
        "truth": (2, len(TRAITS)),
    }
    assert all(torch.equal(value, again[name]) for name, value in example.items())
    assert not torch.equal(*example["pictures"]), "in two performances"


def test_examples_never_use_the_seeds_reserved_for_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    for kind in (Identity, Performance):

        def noted(seed: int, *more: Any, make: Callable[..., Any] = kind.from_seed) -> Any:
            seeds.append(seed)
            return make(seed, *more)

        monkeypatch.setattr(kind, "from_seed", noted)
    for number in range(5):
        JudgeObjective().example(np.random.default_rng(number))
    assert len(seeds) >= 15
    assert max(seeds) < FIRST_HELD_OUT_SEED


def test_the_opening_of_the_eyes_is_clipped() -> None:
    traits = true_traits(Moment(yaw=3, left=1.2, right=-0.1))
    assert list(traits) == list(TRAITS)
    assert (traits["yaw"], traits["eyes"]) == (3, 0.5)


def test_a_missing_judge_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="trains one"):
        open_judge(tmp_path / "none.safetensors")


def test_the_shipped_judge_reads_traits_and_recognises_people() -> None:
    """On people and performances reserved for measuring; among fewer, hardly anybody blinks."""
    judge, heads, truths, rng = open_judge(), [], [], np.random.default_rng(24)
    for number in range(CANDIDATES):
        done = sample_moment(rng, held_out=True)
        picture, face = render(Identity.from_seed(STRANGERS + number), done, CLIP_SIZE)
        heads.append(crop_head(picture, head_box(face.box, *CLIP_SIZE), SIDE))
        truths.append(true_traits(done))
    pictures = np.stack(heads)
    read = judge.read(pictures)
    for name in TRAITS:
        assert np.corrcoef(read[name], [truth[name] for truth in truths])[0, 1] > 0.8, name
    found = (judge.identify(pictures) @ encode_gallery(judge, moved=False).T).argmax(axis=1) == np.arange(CANDIDATES)
    assert found.mean() > 0.8
