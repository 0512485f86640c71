"""The render step: appearance and motion become frames, and frames a picture, the videos without sound."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.faces import Box, make_paster
from models.motion import Motion
from tasks import media
from tasks.media import Timing, VideoEncoder, VideoMetadata
from tasks.media.subtitles import Subtitles
from tasks.quality.meter import QualityMeter
from tasks.steps.appearance import EncodedPortrait
from tasks.steps.context import WorkerContext
from tasks.steps.films.subtitles import drawn_subtitles
from tasks.steps.films.sync import MOUTH
from tasks.steps.fitting import FittedMotion, fit_motion
from tasks.steps.lips import read_lips
from tasks.steps.marking import Marking
from tasks.steps.publish import publish, reusable_record
from tasks.steps.specs import PictureDone, PictureSpec
from troupe import ClipInfo, Picture, Track, __version__
from troupe.job import fitted_size
from troupe.process.log_context import process_name
from troupe.progress import report_progress
from troupe.stopwatch import Stopwatch

__all__ = ["render_picture", "stream_frames"]


@dataclass(frozen=True)
class Output:
    """One of the videos of a picture.

    Attributes:
        name: `full`, `crop` or `master`.
        path: local file.
        size: width and height of its frames.
        video_format: format of the file.
    """

    name: str
    path: Path
    size: tuple[int, int]
    video_format: media.VideoFormat


def render_picture(
    context: WorkerContext, spec: PictureSpec, portrait: EncodedPortrait, shots: Sequence[Motion]
) -> PictureDone:
    """Render a picture and publish its videos, unless they are in the store.

    Frames stream from the networks through paste-back into the encoders; no clip is held as pixels.

    Args:
        portrait: what `encode_portrait` put into the cache.
        shots: what `encode_clip` put into the cache; shots are sampled one by one. With lips by sound, those are read
            from the cache.

    Raises:
        InputError: a file is missing or unreadable.
        StoreError: the store failed; nothing half finished is visible.
    """
    worker = process_name()
    if reusable_record(context, spec) is not None:
        return PictureDone(reused=True)
    watch, evaluations = Stopwatch(), Counter[int]()
    with context.scratch() as folder:
        with watch("fetch"):
            picture, box, scaling = _scaled_portrait(context, spec, portrait)
            clip = context.input(spec.motion.track.clip)
        with watch("decode"):
            fitted = _fitted(context, spec, shots)
        shots, track, timing = fitted.shots, fitted.track, fitted.timing
        subtitles, drawn = drawn_subtitles(context, spec.subtitles, spec.job, timing)
        with watch("paste"):
            paster = make_paster(spec.job.blend, picture, box) if picture is not None else None
        outputs = _outputs(context, spec, picture, folder)
        poster = folder / "poster.jpg"
        meter = QualityMeter(
            context.animator, context.detector, lambda: context.portrait_identity(spec.portrait), shots, track
        )
        with closing(_animate(context, spec, portrait, shots, watch, evaluations)) as crops:
            count = len(track)
            infos = write_videos(context, spec, crops, count, outputs, paster, timing, poster, meter, watch, subtitles)
        facts = _facts(context, spec, portrait, track, outputs, infos[0])
        facts |= {"notes": [*_picture_notes(context, spec, clip), *scaling, *fitted.notes, *drawn]}
        facts |= {"worker": worker, "quality": meter.compute(), MOUTH: meter.mouth(), "stage_seconds": watch.seconds}
        with watch("put"):
            context.check_weights()
            drawn_files = [spec.subtitles] if spec.subtitles is not None else []
            context.check_inputs(spec.portrait.picture, spec.motion.track.clip, *drawn_files)
            files = {output.path.name: output.path for output in outputs} | {poster.name: poster}
            record, puts = publish(context.store, spec, files, facts)
    return PictureDone(
        # Another run may have published the same picture meanwhile: then the picture is that run's.
        reused=(record["run_id"], record["job_id"]) != (spec.run_id, spec.job.job_id),
        seconds=watch.seconds,
        puts=puts,
        notes=context.take_notes(),
        frames=record["frames"],
        evaluations=evaluations.total(),
    )


def write_videos(
    context: WorkerContext,
    spec: PictureSpec,
    crops: Iterable[Picture],
    total: int,
    outputs: tuple[Output, ...],
    paster: Callable[[Picture], Picture] | None,
    timing: Timing,
    poster: Path,
    meter: QualityMeter,
    watch: Stopwatch,
    subtitles: Subtitles | None = None,
) -> list[ClipInfo]:
    """Write the videos of all outputs and the poster, a frame from the middle.

    Args:
        crops: the `total` animated crops.
        subtitles: text that is drawn into the videos.

    Returns:
        properties of the videos.
    """
    marking = Marking(spec, timing.rate)
    metadata = VideoMetadata(run_id=spec.run_id, job_id=spec.job.job_id)
    with ExitStack() as stack:
        encoders = [
            stack.enter_context(
                VideoEncoder(
                    output.path,
                    rate=timing.rate,
                    size=output.size,
                    metadata=metadata,
                    timing=timing,
                    video_format=output.video_format,
                    subtitles=subtitles,
                )
            )
            for output in outputs
        ]
        for index, frame in enumerate(crops):
            context.raise_if_cancelled()
            meter.update(index, frame)
            with watch("paste"):
                whole = paster(frame) if paster is not None else frame
            with watch("encode_video"):
                whole = crop = marking(whole, index)
                if paster is not None and any(output.name == "crop" for output in outputs):
                    crop = marking(frame, index)
            for output, encoder in zip(outputs, encoders, strict=True):
                with watch("encode_video"):
                    encoder.write(crop if output.name == "crop" else whole)
            if index == total // 2:
                media.write_poster(whole, poster)
            report_progress("writing", index + 1, total, "frames")
        with watch("encode_video"):
            return [encoder.finish() for encoder in encoders]


def stream_frames(
    context: WorkerContext, spec: PictureSpec, portrait: EncodedPortrait, shots: Sequence[Motion]
) -> Generator[Picture, None, None]:
    """Yield the frames of a picture's main output as they come out, without writing a video.

    Args:
        portrait, shots: as for `render_picture`.

    Yields:
        (H, W, 3) uint8 each.

    Raises:
        InputError: a file is missing or unreadable.
    """
    picture, box, _ = _scaled_portrait(context, spec, portrait)
    paster = make_paster(spec.job.blend, picture, box) if picture is not None else None
    fitted = _fitted(context, spec, shots)
    marking = Marking(spec, fitted.timing.rate)
    with closing(_animate(context, spec, portrait, fitted.shots, Stopwatch(), Counter())) as crops:
        for index, crop in enumerate(crops):
            yield marking(paster(crop) if paster is not None else crop, index)


def _fitted(context: WorkerContext, spec: PictureSpec, shots: Sequence[Motion]) -> FittedMotion:
    """Return the motion at the length of the picture, with lips that follow the sound if the job asks for them."""
    fitted = fit_motion(context, spec.motion, spec.job, shots, spec.fit_to)
    return fitted if spec.lips is None else replace(fitted, shots=read_lips(context, spec.lips))


def _animate(
    context: WorkerContext,
    spec: PictureSpec,
    portrait: EncodedPortrait,
    shots: Sequence[Motion],
    watch: Stopwatch,
    evaluations: Counter[int],
) -> Generator[Picture, None, None]:
    """Yield the animated crops of all shots, each sampled by itself.

    Args:
        evaluations: receives the denoiser's evaluations by shot.
    """
    if spec.settings.distilled:
        context.use_distilled()
    for number, shot in enumerate(shots, 1):
        stage = f"denoising shot {number} of {len(shots)}," if len(shots) > 1 else "denoising"

        def on_evaluations(done: int, total: int, stage: str = stage, number: int = number) -> None:
            context.raise_if_cancelled()
            evaluations[number] = done
            report_progress(stage, done, total, "evaluations")

        yield from context.animator.animate(portrait.appearance, shot, spec.settings, watch, on_evaluations)


def _outputs(context: WorkerContext, spec: PictureSpec, picture: Picture | None, folder: Path) -> tuple[Output, ...]:
    """Return the outputs that the job requests; the first is the main one."""
    job, side = spec.job, context.animator.config.image_size
    sizes = {"crop": (side, side)}
    if picture is not None:
        sizes = {"full": (picture.shape[1], picture.shape[0])} | (sizes if job.output == "both" else {})
    outputs = [
        Output(name, folder / f"{name}.mp4", size, media.h264(job.quality, size)) for name, size in sizes.items()
    ]
    if (video_format := media.master_format(job.master)) is not None:
        outputs.append(Output("master", folder / f"master{video_format.suffix}", outputs[0].size, video_format))
    return tuple(outputs)


def _scaled_portrait(
    context: WorkerContext, spec: PictureSpec, portrait: EncodedPortrait
) -> tuple[Picture | None, Box, list[str]]:
    """Return the portrait in the size of the full video, the animated square in it, and a note if it was scaled."""
    if spec.job.output == "crop":
        return None, portrait.crop_box, []
    picture = media.read_picture(context.input(spec.portrait.picture))
    height, width = picture.shape[:2]
    size = fitted_size(spec.job.size, width, height)
    if size == (width, height):
        return picture, portrait.crop_box, []
    x1, y1, x2, y2 = portrait.crop_box
    left, top, side = round(x1 * size[0] / width), round(y1 * size[1] / height), round((x2 - x1) * size[0] / width)
    note = f"size: the video is {size[0]}x{size[1]}, the portrait {width}x{height} ({spec.job.size} at most)"
    return media.resized(picture, size), (left, top, left + side, top + round((y2 - y1) * size[1] / height)), [note]


def _picture_notes(context: WorkerContext, spec: PictureSpec, clip: Path) -> list[str]:
    """Return notes on what was chosen or converted when the portrait and the clip were read."""
    portrait = context.input(spec.portrait.picture)
    label = [f"label: {spec.label}"] if spec.label else []
    return [*media.picture_notes(portrait), *media.clip_notes(clip, spec.job.video_track), *label]


def _facts(
    context: WorkerContext,
    spec: PictureSpec,
    portrait: EncodedPortrait,
    track: Track,
    outputs: tuple[Output, ...],
    main: ClipInfo,
) -> dict[str, Any]:
    """Return the content of `render.json`: all columns of the catalog's row that follow from the picture."""
    return {
        "key": spec.key,
        "run_id": spec.run_id,
        "job_id": spec.job.job_id,
        "outputs": {output.name: f"{spec.folder}/{output.path.name}" for output in outputs},
        "poster": f"{spec.folder}/poster.jpg",
        "face": list(portrait.face_box),
        "gaps": [list(gap) for gap in track.gaps],
        "cuts": list(track.cuts),
        "detection_score": track.score,
        "width": main.width,
        "height": main.height,
        "fps": [main.rate.numerator, main.rate.denominator],
        "frames": main.frames,
        "seconds": main.seconds,
        "settings": json.dumps(spec.settings.values, sort_keys=True),
        "device": context.animator.device_name,
        "watermark": spec.watermark or "off",
        "peak_gpu_bytes": context.animator.peak_gpu_bytes,
        "code_version": __version__,
        "finished_at": datetime.now(UTC).isoformat(),
    }
