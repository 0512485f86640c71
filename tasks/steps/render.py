"""A portrait acts a clip: appearance and motion become frames, frames become videos, videos are published."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.faces import make_paster
from models.motion import Motion
from tasks import media
from tasks.media import AudioSource, Timing, VideoEncoder, VideoMetadata
from tasks.quality import QualityMeter
from tasks.steps.appearance import EncodedPortrait
from tasks.steps.context import WorkerContext
from tasks.steps.motion import fetch_track
from tasks.steps.publish import finished_record, publish
from tasks.steps.specs import Rendered, RenderSpec
from troupe import ClipInfo, Picture, __version__
from troupe.errors import UnreadableMedia
from troupe.stopwatch import Stopwatch

__all__ = ["render"]


@dataclass(frozen=True)
class Output:
    """One of the videos of a render.

    Attributes:
        name: `full`, `crop` or `master`.
        path: of the local file.
        size: (width, height) of its frames.
        form: of the file.
    """

    name: str
    path: Path
    size: tuple[int, int]
    form: media.VideoFormat


def render(tools: WorkerContext, spec: RenderSpec, member: EncodedPortrait, shots: Sequence[Motion]) -> Rendered:
    """See to it that the render of this order exists in the store.

    Frames stream from the networks through paste-back into the encoders; no clip is held as pixels.

    Args:
        member, shots: what `encode_portrait` and `encode_clip` put into the cache; shots are rendered one by one.

    Raises:
        InputError: a file is missing or unreadable.
        StoreError: the store failed; nothing half finished is visible.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}"
    if (finished := finished_record(tools.store, spec)) is not None:
        return Rendered(reused=True, facts=finished, worker=worker)
    watch, evaluations = Stopwatch(), tools.animator.evaluations
    with tools.scratch() as folder:
        with watch("fetch"):
            picture = media.read_picture(tools.input(spec.job.portrait)) if spec.job.output != "crop" else None
            clip = tools.input(spec.job.driving)
            sound = _sound(tools, spec, clip)
        with watch("decode"):
            timing = media.timing_of(clip, spec.job.start, spec.job.end, spec.job.fps)
        with watch("paste"):
            paster = make_paster(spec.job.blend, picture, member.crop_box) if picture is not None else None
        outputs = _outputs(tools, spec, picture, folder)
        poster = folder / "poster.jpg"
        meter = _meter(tools, spec, shots)
        infos = _film(tools, spec, member, shots, outputs, paster, timing, sound, poster, meter, watch)
        facts = _facts(tools, spec, member, outputs, infos[0]) | {"worker": worker, "quality": meter.compute()}
        facts |= {"stage_seconds": watch.seconds}
        with watch("put"):
            files = {output.path.name: output.path for output in outputs} | {poster.name: poster}
            record, puts = publish(tools.store, spec, files, facts)
    return Rendered(
        # Another run may have published the same render meanwhile: then it is that one's.
        reused=(record["run_id"], record["job_id"]) != (spec.run_id, spec.job.job_id),
        seconds=watch.seconds,
        puts=puts,
        facts=record,
        evaluations=tools.animator.evaluations - evaluations,
        worker=worker,
    )


def _outputs(tools: WorkerContext, spec: RenderSpec, picture: Picture | None, folder: Path) -> tuple[Output, ...]:
    """What the job asked for; the first is the main one."""
    job, side = spec.job, tools.animator.config.image_size
    sizes = {"crop": (side, side)}
    if picture is not None:
        sizes = {"full": (picture.shape[1], picture.shape[0])} | (sizes if job.output == "both" else {})
    outputs = [
        Output(name, folder / f"{name}.mp4", size, media.h264(job.quality, size)) for name, size in sizes.items()
    ]
    if (form := media.master(job.master)) is not None:
        outputs.append(Output("master", folder / f"master{form.suffix}", outputs[0].size, form))
    return tuple(outputs)


def _sound(tools: WorkerContext, spec: RenderSpec, clip: Path) -> AudioSource | None:
    """Where the sound comes from: the part of the driving clip that is acted, a file of its own, or nowhere.

    Raises:
        UnreadableMedia: the job names a file for its sound that has none.
    """
    job = spec.job
    if job.audio == "none":
        return None
    if job.audio == "driving":
        return AudioSource(clip, job.start, job.end)
    source = AudioSource(tools.input(job.audio))
    if media.find_audio(source) is None:
        raise UnreadableMedia(f"{job.audio} has no sound; name another file, or `none`")
    return source


def _meter(tools: WorkerContext, spec: RenderSpec, shots: Sequence[Motion]) -> QualityMeter:
    """What measures this render."""
    portrait = (tools.input(spec.portrait.uri), spec.portrait.face)
    return QualityMeter(tools.animator, tools.detector, portrait, shots, fetch_track(tools, spec.motion.track))


def _film(
    tools: WorkerContext,
    spec: RenderSpec,
    member: EncodedPortrait,
    shots: Sequence[Motion],
    outputs: tuple[Output, ...],
    paster: Callable[[Picture], Picture] | None,
    timing: Timing,
    sound: AudioSource | None,
    poster: Path,
    meter: QualityMeter,
    watch: Stopwatch,
) -> list[ClipInfo]:
    """Write every output's video and the poster, a frame from the middle; what each video turned out to be."""
    note = VideoMetadata(run_id=spec.run_id, job_id=spec.job.job_id, language=spec.job.language)
    middle = sum(len(shot) for shot in shots) // 2
    with ExitStack() as stack:
        encoders = [
            stack.enter_context(
                VideoEncoder(
                    output.path,
                    rate=timing.rate,
                    size=output.size,
                    audio=sound,
                    note=note,
                    timing=timing,
                    form=output.form,
                )
            )
            for output in outputs
        ]
        frames = _frames(tools, spec, member, shots, watch)
        stack.enter_context(closing(frames))
        for index, frame in enumerate(frames):
            tools.raise_if_cancelled()
            meter.update(index, frame)
            with watch("paste"):
                whole = paster(frame) if paster is not None else frame
            for output, encoder in zip(outputs, encoders, strict=True):
                with watch("encode_video"):
                    encoder.write(frame if output.name == "crop" else whole)
            if index == middle:
                media.write_poster(whole, poster)
        with watch("encode_video"):
            return [encoder.finish() for encoder in encoders]


def _frames(
    tools: WorkerContext, spec: RenderSpec, member: EncodedPortrait, shots: Sequence[Motion], watch: Stopwatch
) -> Generator[Picture, None, None]:
    """The animated crops of all shots, each shot sampled by itself."""
    for shot in shots:
        yield from tools.animator.animate(
            member.appearance, shot, spec.settings, watch, lambda *_: tools.raise_if_cancelled()
        )


def _facts(
    tools: WorkerContext, spec: RenderSpec, member: EncodedPortrait, outputs: tuple[Output, ...], main: ClipInfo
) -> dict[str, Any]:
    """What `render.json` says: all of the catalog's row that follows from the render itself, the main video's first."""
    track = fetch_track(tools, spec.motion.track)
    return {
        "key": spec.key,
        "run_id": spec.run_id,
        "job_id": spec.job.job_id,
        "outputs": {output.name: f"{spec.folder}/{output.path.name}" for output in outputs},
        "poster": f"{spec.folder}/poster.jpg",
        "face": list(member.face_box),
        "gaps": [list(gap) for gap in track.gaps],
        "cuts": list(track.cuts),
        "detection_score": track.score,
        "width": main.width,
        "height": main.height,
        "fps": [main.rate.numerator, main.rate.denominator],
        "frames": main.frames,
        "seconds": main.seconds,
        "audio": main.audio,
        "settings": json.dumps(dataclasses.asdict(spec.settings), sort_keys=True),
        "device": tools.animator.device_name,
        "peak_gpu_bytes": tools.animator.peak_gpu_bytes,
        "code_version": __version__,
        "finished_at": datetime.now(UTC).isoformat(),
    }
