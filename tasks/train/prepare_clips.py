"""Encode training clips once: synthetic ones, or users' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from catalogs.requests import inputs
from catalogs.requests.access.content_hashes import Input
from catalogs.requests.access.input_policy import trusting
from catalogs.store import uris
from catalogs.store.keys import make_key
from models.animator import Animator, load
from models.faces import track_face
from tasks import media
from tasks.steps.context import WorkerConfig, WorkerContext
from tasks.train.clip_kinds import ClipKind, Scene
from tasks.train.clips_table import ClipEntry, read_clips_table
from tasks.train.config import WORLD, ClipsConfig
from troupe import Picture, Track
from troupe.errors import Cancelled, InputError, SettingsError
from troupe.files import replacing
from troupe.process.scratch import scratch_folder

__all__ = ["HELD_OUT_FOLDER", "TRAINING_FOLDER", "OnClip", "prepare_clips"]

TRAINING_FOLDER, HELD_OUT_FOLDER = "learning", "measuring"
MIN_FRAMES = 25
"""Frames of the shortest scene that is used."""
HELD_OUT_EVERY = 10
"""One in this many of users' scenes is held out, at least one."""

OnClip = Callable[[int, int], None]
"""Called with the number of clips ready and their total."""


def prepare_clips(
    clips: ClipsConfig,
    kind: ClipKind,
    weights: Path,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    on_clip: OnClip = lambda *_: None,
    device: str = "auto",
) -> list[str]:
    """Encode the training clips; clips that are encoded already are kept.

    Args:
        kind: what is encoded of a clip.
        weights: weights directory whose autoencoder, motion encoders and recogniser encode the clips.
        folder: output folder; clips go to `learning` and, those held out, to `measuring`.
        stop: polled before every clip.

    Returns:
        One line per users' clip that could not be used, with the reason.

    Raises:
        BadJob: the table of clips is invalid.
        SettingsError: fewer than two scenes show a face for long enough.
        Cancelled: preparing was stopped; the same call resumes it.
    """
    for name in (TRAINING_FOLDER, HELD_OUT_FOLDER):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if clips.source == WORLD:
        _prepare_world(clips, kind, weights, folder, stop, on_clip, device)
        return []
    return _prepare_footage(clips, kind, weights, folder, stop, on_clip, device)


def _prepare_world(
    clips: ClipsConfig,
    kind: ClipKind,
    weights: Path,
    folder: Path,
    stop: Callable[[], bool],
    on_clip: OnClip,
    device: str,
) -> None:
    measured = max(4, clips.count // 20)
    wanted = [(TRAINING_FOLDER, number) for number in range(clips.count)]
    wanted += [(HELD_OUT_FOLDER, number) for number in range(-(-measured // clips.cast) * clips.cast)]
    animator: Animator | None = None
    for done, (name, number) in enumerate(wanted):
        _raise_if_cancelled(stop)
        path = folder / name / f"{number:06}.safetensors"
        if not path.exists():
            animator = animator or load(weights, device, kind.dtype)
            with replacing(path, sole_writer=True) as written:
                kind.write_synthetic(animator, clips, number, name == HELD_OUT_FOLDER, written)
        on_clip(done + 1, len(wanted))


def _prepare_footage(
    clips: ClipsConfig,
    kind: ClipKind,
    weights: Path,
    folder: Path,
    stop: Callable[[], bool],
    on_clip: OnClip,
    device: str,
) -> list[str]:
    entries, refused = read_clips_table(clips.source), list[str]()
    with scratch_folder() as scratch:
        context = WorkerContext(
            WorkerConfig(
                "",
                str(weights),
                clips.detector,
                device,
                kind.dtype,
                scratch,
                policy=trusting(uris.parent(clips.source)),
            )
        )
        for done, entry in enumerate(entries):
            _raise_if_cancelled(stop)
            try:
                _prepare_entry(context, clips, kind, entry, folder)
            except InputError as error:
                refused.append(f"{uris.redacted(entry.uri)}: {error.message}")
            on_clip(done + 1, len(entries))
    scenes = sorted((folder / TRAINING_FOLDER).glob("*.safetensors")) + sorted(
        (folder / HELD_OUT_FOLDER).glob("*.safetensors")
    )
    if len(scenes) < 2:
        lines = "\n  ".join(refused)
        raise SettingsError(
            f"{clips.source} has too few scenes of {MIN_FRAMES} frames with a face to learn from\n  {lines}"
        )
    # The names decide which ones are held out, in the order of their keys.
    ordered = sorted(scenes, key=lambda path: path.name)
    for number, path in enumerate(ordered):
        name = HELD_OUT_FOLDER if number % HELD_OUT_EVERY == 0 else TRAINING_FOLDER
        path.rename(folder / name / path.name)
    return refused


def _prepare_entry(context: WorkerContext, clips: ClipsConfig, kind: ClipKind, entry: ClipEntry, folder: Path) -> None:
    """Encode every scene of a clip that shows the face for at least `MIN_FRAMES` frames."""
    state = inputs.stat(entry.uri, context.config.policy)
    key = make_key(
        kind.name,
        uri=state.uri,
        size=state.size,
        version=state.version,
        part=[entry.start, entry.end, entry.face.text],
        how=[clips.frames, clips.sittings, clips.detector],
    )[:16]
    if any(list((folder / name).glob(f"{key}-*")) for name in (TRAINING_FOLDER, HELD_OUT_FOLDER)):
        return
    clip = context.input(Input(entry.uri))

    def frames() -> Iterator[Picture]:
        return media.decode(clip, entry.start, entry.end)

    track = track_face(frames(), context.detector, entry.face, entry.uri, recognise=context.recognise)
    scenes = _scenes(track, clips.frames)
    if not scenes:
        raise InputError(f"the face is not detected in {MIN_FRAMES} consecutive frames anywhere in the clip")
    position, decoded = 0, frames()
    for number, (first, stop) in enumerate(scenes):
        for _ in islice(decoded, first - position):
            pass
        path = folder / TRAINING_FOLDER / f"{key}-{number:03}.safetensors"
        scene = Scene(clip, entry.start, entry.end, first, islice(decoded, stop - first), track.part(first, stop))
        with replacing(path, sole_writer=True) as written:
            kind.write_scene(context.animator, clips, scene, written)
        position = stop


def _scenes(track: Track, most: int) -> list[tuple[int, int]]:
    """Ranges (first, stop) of frames that show the face without a cut, split into at most `most` frames."""
    seen = track.scores > 0
    borders = sorted({0, len(track), *track.cuts, *(np.flatnonzero(seen[1:] != seen[:-1]) + 1).tolist()})
    found = []
    for first, stop in pairwise(borders):
        if seen[first]:
            found += [(start, min(start + most, stop)) for start in range(first, stop, most)]
    return [(first, stop) for first, stop in found if stop - first >= MIN_FRAMES]


def _raise_if_cancelled(stop: Callable[[], bool]) -> None:
    if stop():
        raise Cancelled("preparing clips was stopped; run the same command to resume")
