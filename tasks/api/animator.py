"""Animate portraits one by one, from paths or arrays, without a run."""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from catalogs.store import uris
from tasks.api.animation import Animation, FrameStream
from tasks.api.options import (
    DrivingSource,
    JobOptions,
    PathLike,
    PortraitSource,
    call_checks,
    check_picture,
    is_path,
    make_job,
)
from tasks.run.requests.check_request import model_checks
from tasks.weights.shipped import MINIATURE_NOTICE, SHIPPED_WEIGHTS
from troupe import Job, Picture
from troupe.checks import check_all
from troupe.errors import TroupeError
from troupe.files import replacing
from troupe.process.scratch import scratch_folder
from troupe.progress import OnProgress, ProgressReporter

# What imports torch is imported late, after the checks: a wrong call is refused within a moment.
if TYPE_CHECKING:
    from models.animator import Animator
    from tasks.steps.context import WorkerConfig
    from tasks.steps.specs import FilmSpec, PictureSpec
    from tasks.steps.workers import RenderWorker

__all__ = ["PortraitAnimator", "animate", "stream"]

ARRAY_RATE = Fraction(25)
"""Frames per second of frames that are given as arrays, unless `fps` says otherwise."""


class PortraitAnimator:
    """Animates portraits with one model: its networks are loaded once, each portrait and clip is encoded once.

    Everything is checked when it is constructed or called; the networks are loaded by the first render. The temporary
    files are removed by `close`, at the end of a `with` block, and when the object is deleted. Not thread-safe.

    Args:
        weights: weights directory, as a path or URL; by default the miniature that comes with troupe, which animates
            drawn faces only.
        detector: detector file that replaces the weights' own.
        device, dtype, compile, gpu_memory: see `models.animator.load`.

    Raises:
        WeightsError, SettingsError: the model cannot be used; all problems are reported together.

    Example:
        >>> with troupe.PortraitAnimator("weights") as animator:
        ...     for name in ("hello", "goodbye"):
        ...         animator.animate("ada.jpg", f"{name}.mp4", f"ada-{name}.mp4")
    """

    def __init__(
        self,
        weights: PathLike | None = None,
        detector: PathLike | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        compile: bool = False,
        gpu_memory: float | None = None,
    ) -> None:
        self._weights, self._detector = _model(weights, detector)
        check_all(model_checks(self._weights, self._detector, device, dtype))
        resources = ExitStack()
        self._folder = resources.enter_context(scratch_folder())
        self._options: dict[str, Any] = {"compile": compile, "gpu_memory": gpu_memory}
        self._device, self._dtype = device, dtype
        self._finalizer = weakref.finalize(self, resources.close)

    @property
    def model(self) -> Animator:
        """The networks, for work on features: they encode and animate arrays."""
        return self._worker.context.animator

    def animate(
        self,
        portrait: PortraitSource,
        driving: DrivingSource,
        path: PathLike,
        *,
        on_progress: OnProgress | None = None,
        **options: Unpack[JobOptions],
    ) -> Animation:
        """Write a video of the portrait with the motion of the clip, and the clip's sound; see `animate`."""
        check_all(call_checks(portrait, driving, options, path))
        from catalogs.store.renders import PICTURES
        from tasks.steps.films.film import make_film

        video = Path(path).expanduser().absolute()
        with self._job(portrait, driving, options) as job, _reporting(on_progress, video.name):
            try:
                spec, notes = self._plan(job)
                self._encode(spec.picture)
                self._worker.picture(spec.picture)
                record = make_film(self._worker.context, spec).facts
                with replacing(video) as part:
                    shutil.copyfile(self._store / record["outputs"][job.output], part)
            finally:
                for folder in ("renders", PICTURES):
                    shutil.rmtree(self._store / folder, ignore_errors=True)
        return Animation.of(video, record, notes)

    def stream(
        self,
        portrait: PortraitSource,
        driving: DrivingSource,
        *,
        on_progress: OnProgress | None = None,
        **options: Unpack[JobOptions],
    ) -> FrameStream:
        """Return the frames of the portrait with the motion of the clip, as they come out; see `stream`."""
        check_all(call_checks(portrait, driving, options))
        with ExitStack() as stack:
            job = stack.enter_context(self._job(portrait, driving, options))
            if job.lips == "driving":
                job = replace(job, audio="none")  # so that no sound stretches it
            spec = self._plan(job)[0].picture
            from tasks.steps.fitting import fit_timing, motion_timing

            timing = motion_timing(self._worker.context, spec.motion, job)
            if spec.fit_to is not None:
                timing = fit_timing(job, timing, spec.fit_to)[1]
            frames = self._frames(spec, on_progress, uris.name(job.portrait))
            return FrameStream(frames, timing.rate, tuple(map(float, timing.times)), stack.pop_all())

    def close(self) -> None:
        """Remove the temporary files."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _store(self) -> Path:
        """The store of this object alone, which holds what is encoded."""
        return self._folder / "store"

    @cached_property
    def _config(self) -> WorkerConfig:
        from tasks.steps.context import WorkerConfig

        return WorkerConfig(
            store=str(self._store),
            weights=self._weights,
            detector=self._detector,
            device=self._device,
            dtype=self._dtype,
            scratch=self._folder,
            **self._options,
        )

    @cached_property
    def _worker(self) -> RenderWorker:
        from tasks.steps.workers import RenderWorker

        return RenderWorker(self._config)

    @contextmanager
    def _job(self, portrait: PortraitSource, driving: DrivingSource, options: Mapping[str, Any]) -> Iterator[Job]:
        """Yield the job of a call; arrays are temporary files, without loss, inside the `with` block.

        Errors raised in the block name arrays as what they are, not by these files.
        """
        with tempfile.TemporaryDirectory(prefix="arrays-", dir=self._folder) as folder:
            picture, clip = Path(folder, "portrait.png"), Path(folder, "driving.mkv")
            if not is_path(portrait):
                from PIL import Image

                Image.fromarray(check_picture(portrait, "the portrait")).save(picture, compress_level=1)
            if not is_path(driving):
                rate = make_job(picture, clip, options).fps or ARRAY_RATE
                _write_frames(driving, clip, rate)
            paths: list[Any] = [portrait if is_path(portrait) else picture, driving if is_path(driving) else clip]
            # Videos name the run and the job they are from; these are from none.
            job = replace(make_job(paths[0], paths[1], options), job_id="")
            try:
                yield job
            except TroupeError as error:
                text = error.message
                for path, array in ((picture, "the portrait's array"), (clip, "the driving frames")):
                    if path in paths:
                        text = text.replace(str(path), array).replace(path.name, array)
                error.args = (text, *error.args[1:])
                raise

    def _plan(self, job: Job) -> tuple[FilmSpec, tuple[str, ...]]:
        """Return what to render, and notes on it.

        Raises:
            InputError: an input cannot be used.
        """
        from catalogs.requests.access.input_policy import trusting
        from catalogs.requests.inputs import localised
        from catalogs.store.store import open_store
        from tasks import media
        from tasks.run.inputs.model import Model
        from tasks.run.planning import plan_jobs
        from tasks.run.policy import RunPolicy

        with localised(job.portrait, policy=trusting(job.portrait)) as picture:
            media.read_picture(picture)
        store = open_store(str(self._store))
        model = Model.at(self._weights, self._config.detector, self._dtype)
        if not self._store.exists():
            plan_jobs("model", [], store, model, RunPolicy())  # hashes the weights, and remembers that
        (planned,) = plan_jobs("", [job], store, model, RunPolicy()).jobs
        if planned.error is not None:
            raise planned.error
        assert planned.spec is not None
        return planned.spec, planned.notes

    def _encode(self, spec: PictureSpec) -> PictureSpec:
        """Encode the portrait and the clip, unless they are; return the spec."""
        from tasks.steps.motion import track_clip

        self._worker.portrait(spec.portrait)
        track_clip(self._worker.context, spec.motion.track)
        self._worker.motion(spec.motion)
        if spec.lips is not None:
            self._worker.lips(spec.lips)
        return spec

    def _frames(self, spec: PictureSpec, on_progress: OnProgress | None, name: str) -> Generator[Picture, None, None]:
        with _reporting(on_progress, name):
            yield from self._worker.stream(self._encode(spec))


def animate(
    portrait: PortraitSource,
    driving: DrivingSource,
    path: PathLike,
    *,
    weights: PathLike | None = None,
    detector: PathLike | None = None,
    device: str = "auto",
    dtype: str = "auto",
    on_progress: OnProgress | None = None,
    **options: Unpack[JobOptions],
) -> Animation:
    """Write a video of the portrait with the motion of the clip, and the clip's sound.

    For more than one video, `PortraitAnimator` loads the networks once, and `troupe run` uses all GPUs.

    Args:
        portrait: path or URL of the picture, or its pixels, (H, W, 3) uint8 RGB.
        driving: path or URL of the clip, or its frames, as `portrait`; frames have no sound, and 25 a second unless
            `fps` says otherwise.
        path: MP4 file to write; an existing one is replaced.
        weights, detector, device, dtype: see `PortraitAnimator`.
        on_progress: called with how far the render is, at most once a second; may raise to stop.
        options: columns of a jobs file (docs/jobs.md), such as `preset="draft"`, `end=2.5`, `audio="none"`.

    Raises:
        BadJob, SettingsError, WeightsError: the arguments are invalid; all problems are reported together, before
            anything is loaded.
        InputError: the picture or the clip cannot be used, or shows no face.
        OutOfMemory: the device has too little memory.

    Example:
        >>> troupe.animate("ada.jpg", "clip.mp4", "ada.mp4", weights="weights")
    """
    model = _model(weights, detector)
    check_all([*model_checks(*model, device, dtype), *call_checks(portrait, driving, options, path)])
    with PortraitAnimator(*model, device=device, dtype=dtype) as animator:
        return animator.animate(portrait, driving, path, on_progress=on_progress, **options)


def stream(
    portrait: PortraitSource,
    driving: DrivingSource,
    *,
    weights: PathLike | None = None,
    detector: PathLike | None = None,
    device: str = "auto",
    dtype: str = "auto",
    on_progress: OnProgress | None = None,
    **options: Unpack[JobOptions],
) -> FrameStream:
    """Return the frames of the portrait with the motion of the clip, as they come out; memory does not grow with them.

    Args: as for `animate`.

    Raises: as `animate`; what concerns the content of picture and clip, with the first frame.
    """
    model = _model(weights, detector)
    check_all([*model_checks(*model, device, dtype), *call_checks(portrait, driving, options)])
    with ExitStack() as stack:
        animator = stack.enter_context(PortraitAnimator(*model, device=device, dtype=dtype))
        frames = animator.stream(portrait, driving, on_progress=on_progress, **options)
        frames.add_resource(stack.pop_all())
    return frames


def _model(weights: PathLike | None, detector: PathLike | None) -> tuple[str, str]:
    """Return the URIs of weights and detector, which mean the same in every working folder.

    To be called by what the user calls: its caller is the place of the warning about a default that photographs need
    another model for.
    """
    if weights is None:
        warnings.warn(f"no weights given: {MINIATURE_NOTICE}", stacklevel=3)
    named = uris.from_here(str(SHIPPED_WEIGHTS if weights is None else weights))
    return named, uris.from_here(str(detector)) if detector else ""


def _write_frames(frames: Any, path: Path, rate: Fraction) -> None:
    """Write frames to a file without loss.

    Raises:
        SettingsError: there are none, or one is not (H, W, 3) uint8 or has another size.
    """
    from tasks import media
    from troupe.errors import SettingsError

    pictures = (check_picture(frame, f"frame {index} of the driving clip") for index, frame in enumerate(frames))
    first = next(pictures, None)
    if first is None:
        raise SettingsError("the driving clip has no frames")
    height, width = first.shape[:2]
    with media.VideoEncoder(path, rate=rate, size=(width, height), video_format=media.LOSSLESS) as encoder:
        encoder.write(first)
        for index, picture in enumerate(pictures, 1):
            if picture.shape != first.shape:
                raise SettingsError(f"frame {index} of the driving clip is {picture.shape}, the first {first.shape}")
            encoder.write(picture)


@contextmanager
def _reporting(on_progress: OnProgress | None, name: str) -> Iterator[None]:
    """Report the progress of the `with` block."""
    if on_progress is None:
        yield
    else:
        with ProgressReporter(on_progress).reporting(name):
            yield
