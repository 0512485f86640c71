"""The request of an evaluation and its check, for which no network is imported."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from catalogs.requests.jobs_file import files_of
from catalogs.store import uris
from catalogs.store.keys import run_key
from catalogs.store.store import open_store
from catalogs.table.check import check_store
from tasks.run.requests.check_request import check_distilled, model_checks
from tasks.weights.local_copy import local_weights
from troupe.checks import check_all
from troupe.errors import SettingsError, TroupeError
from troupe.file_suffixes import CLIP_SUFFIXES, PORTRAIT_SUFFIXES

__all__ = ["EvaluationRequest", "check_evaluation"]

_NETWORKS = ("lpips", "inception", "video_features", "embedder")


@dataclass(frozen=True)
class EvaluationRequest:
    """Inputs and settings of an evaluation.

    Attributes:
        store: URL of the store.
        weights: the weights directory.
        drivings: folder of driving clips, or one clip; each drives its own first frame.
        run_id: identifier of the run that renders the clips.
        portraits: folder of pictures, or one picture; each is also driven by every clip. None measures self-reenactment
            only.
        detector: file of a face detector that replaces the weights' own.
        preset: name of the sampler settings.
        seed: seed of the noise.
        limit: number of clips, and of portraits, to use; None uses all.
        preview: seconds of each clip to render; None renders all.
        lpips, inception, video_features: TorchScript files, see `tasks.evaluation.networks.Networks`.
        embedder: ONNX file, see `tasks.evaluation.networks.Embedder`.
        device, dtype: device and number format of the networks.
    """

    store: str
    weights: str
    drivings: str
    run_id: str
    portraits: str | None = None
    detector: str | None = None
    preset: str = "exact"
    seed: int = 0
    limit: int | None = None
    preview: float | None = None
    lpips: str | None = None
    inception: str | None = None
    video_features: str | None = None
    embedder: str | None = None
    device: str = "auto"
    dtype: str = "auto"

    def parameters(self) -> dict[str, Any]:
        """Return the attributes as a flow's parameters."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def clips(self) -> list[str]:
        """URIs of the driving clips, at most `limit`. Listed once.

        Raises:
            SettingsError: there are none.
        """
        found = _files_with(self.drivings, CLIP_SUFFIXES)[: self.limit]
        if not found:
            raise SettingsError(f"no clips in {self.drivings} (files ending in {', '.join(CLIP_SUFFIXES)})")
        return found

    @cached_property
    def pictures(self) -> list[str]:
        """URIs of the portraits, at most `limit`. Listed once."""
        return _files_with(self.portraits, PORTRAIT_SUFFIXES)[: self.limit] if self.portraits else []


def check_evaluation(request: EvaluationRequest) -> None:
    """Check the request as far as that takes a moment. All problems are reported together.

    Raises:
        TroupeError: the only problem.
        SettingsError: several problems.
    """
    checks: list[Callable[[], object]] = [
        lambda: run_key(request.run_id, ""),
        lambda: request.clips,
        lambda: request.pictures,
        *(partial(_check_network, request, name) for name in _NETWORKS),
        lambda: check_distilled(request.weights, [request.preset]),
        *model_checks(request.weights, request.detector, request.device, request.dtype),
    ]
    check_all(checks, lambda: check_store(open_store(request.store)))


def _check_network(request: EvaluationRequest, name: str) -> None:
    path = getattr(request, name)
    if path is None:
        return
    if not Path(path).is_file():
        raise SettingsError(f"no file {path} for --{name.replace('_', '-')}")
    # Imported late: only requests with such files need torch here.
    from tasks.evaluation.networks import open_embedder, try_network

    if name == "embedder":
        open_embedder(Path(path))
    else:
        try_network(name, Path(path), _frame_side(request.weights))


def _frame_side(weights: str) -> int:
    """Return the sides of a model's frames in pixels; the default's where its own are not known yet."""
    from models.config import ModelConfig

    with suppress(TroupeError):  # which another check reports
        if uris.local_path(weights) is not None:
            return ModelConfig.read(local_weights(weights)).image_size
    return ModelConfig.image_size


def _files_with(place: str, suffixes: tuple[str, ...]) -> list[str]:
    return [uri for uri in files_of(place) if uris.name(uri).lower().endswith(suffixes)]
