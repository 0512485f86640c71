"""Dubbing: ten languages of one picture against one job, side by side.

A generated portrait acts a generated clip with the miniature: once with one sound, once with sounds in ten languages
of 0.7 to 1.3 times the clip's length, each run in a fresh process and a fresh store, in turn. Then an eleventh language
is added.
"""

from __future__ import annotations

import hashlib
import statistics
import time
import wave
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from bench.support.machine import isolated
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from catalogs.store.store import open_store
from catalogs.table.manifest import read_manifest
from flows.local import animate_locally
from models.miniature import SHIPPED_WEIGHTS
from models.synthetic.voice import SAMPLE_RATE, synthesise_voice
from tasks import media
from tasks.demo import prepare_demo
from tasks.run.request import Request
from troupe import PRESETS
from troupe.process.scratch import scratch_folder

__all__ = ["Run", "measure", "parser", "run_languages"]

LANGUAGES = ("en", "fr", "de", "es", "it", "pt-BR", "ja", "ko", "zh-Hant", "ar")
LATER = "hi"
MAX_RATIO = 1.15


@dataclass(frozen=True)
class Run:
    """What a run cost.

    Attributes:
        seconds: seconds from the request to the manifest.
        evaluations: evaluations of the denoiser.
        pictures: hashes of the films' encoded pictures.
    """

    seconds: float
    evaluations: int
    pictures: frozenset[str]


def measure(args: Namespace) -> Findings:
    """Measure one job, ten languages and one more, a few times in turn."""
    one: list[Run] = []
    ten: list[Run] = []
    more: list[Run] = []
    with scratch_folder() as folder:
        log("drawing a portrait and a clip, and synthesising voices")
        portraits, drivings = prepare_demo(folder)
        portrait, clip = sorted(portraits.iterdir())[0], sorted(drivings.iterdir())[0]
        seconds = media.probe(clip).seconds
        for number, language in enumerate((*LANGUAGES, LATER)):
            _write_voice(folder / f"{language}.wav", seconds * (0.7 + 0.6 * number / len(LANGUAGES)), number)
        for run in range(args.runs):
            for name, languages, runs in (
                ("one", LANGUAGES[:1], one),
                ("ten", LANGUAGES, ten),
                ("ten", (LATER,), more),
            ):
                log(f"run {run + 1} of {args.runs}: {len(languages)} languages")
                store = folder / f"{name}-{run}"
                runs.append(
                    isolated(run_languages, store, portrait, clip, folder, languages, args.preset, args.preview)
                )
    ratio = statistics.median(b.seconds / a.seconds for a, b in zip(one, ten, strict=True))
    cases = {
        name: Case({"seconds": statistics.median(run.seconds for run in runs), "evaluations": runs[0].evaluations})
        for name, runs in (("one language", one), ("ten languages", ten), ("an eleventh", more))
    }
    checks = {
        "wall_time_ratio": Check.at_most(ratio, MAX_RATIO),
        "evaluations": Check.exactly(ten[0].evaluations, one[0].evaluations),
        "different_pictures": Check.exactly(len(frozenset.union(*(run.pictures for run in (*ten[:1], *more[:1])))), 1),
        "evaluations_of_the_eleventh": Check.exactly(more[0].evaluations, 0),
    }
    return Findings(cases, checks)


def run_languages(
    store: Path, portrait: Path, clip: Path, sounds: Path, languages: Sequence[str], preset: str, preview: float | None
) -> Run:
    """Make films in some languages, in this process."""
    request = Request(
        store=str(store),
        weights=str(SHIPPED_WEIGHTS),
        portraits=str(portrait),
        drivings=str(clip),
        defaults={
            "preset": preset,
            "fit": "cut",
            "audio": f"{sounds}/{{language}}.wav",
            "languages": ";".join(languages),
        },
        preview=preview,
    )
    started = time.perf_counter()
    summary = animate_locally(request)
    seconds = time.perf_counter() - started
    assert summary.counts == {"done": len(languages)}, summary.line()
    videos = read_manifest(open_store(request.store), summary.run_id)["full_uri"].to_pylist()
    return Run(seconds, summary.evaluations, frozenset(_picture_hash(str(video)) for video in videos))


def _picture_hash(video: str) -> str:
    with av.open(video) as file:
        return hashlib.sha256(b"".join(bytes(packet) for packet in file.demux(video=0))).hexdigest()


def _write_voice(path: Path, seconds: float, seed: int) -> None:
    samples = synthesise_voice(3, seed, round(seconds * 25), 25)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype(np.int16).tobytes())


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--runs", type=positive_int, default=3, metavar="N", help="runs of each")
    options.add_argument("--preset", choices=PRESETS, default="exact", help="preset of all jobs")
    options.add_argument("--preview", type=float, metavar="S", help="only the first seconds of the clip")
    return options


if __name__ == "__main__":
    main("dubbing", parser(), measure)
