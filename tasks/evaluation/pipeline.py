"""Stages of an evaluation around its renders: prepare the jobs, measure the renders, publish the tables."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from catalogs.requests.access.content_hashes import Input
from catalogs.requests.access.input_policy import ANY_PUBLIC, trusting
from catalogs.requests.inputs import localised
from catalogs.requests.job_ids import unique_names
from catalogs.requests.tracks import read_track
from catalogs.store import uris
from catalogs.store.digests import read_verified
from catalogs.store.keys import run_key
from catalogs.store.store import Store, open_store
from catalogs.table.manifest import read_manifest
from models.motion import load_shots
from models.runtime.device import pick_device
from tasks import media
from tasks.evaluation.metrics import CROSS, SELF, Evaluator, Subject
from tasks.evaluation.networks import Embedder, Networks
from tasks.evaluation.request import EvaluationRequest, check_evaluation
from tasks.evaluation.summary import Evaluation
from tasks.quality.torchscript import TorchScript
from tasks.run.request import Request
from tasks.steps.context import WorkerConfig, WorkerContext
from troupe import FaceChoice, Picture
from troupe.errors import Cancelled, TroupeError
from troupe.process.scratch import scratch_folder

__all__ = ["evaluation_key", "measure_renders", "prepare_evaluation", "publish_evaluation"]

_MEASURES = tuple(dict.fromkeys((*SELF, *CROSS)))
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("run_id", "job_id", "kind", "portrait", "driving", "render_key"), pa.string()),
    "frames": pa.int64(),
    "error": pa.string(),
    **dict.fromkeys(_MEASURES, pa.float64()),
}
_SCHEMA = pa.schema(_TYPES)


def prepare_evaluation(request: EvaluationRequest) -> Request:
    """Write the clips' first frames and the jobs file to the store; return the run's request.

    Raises:
        SettingsError: the request is invalid.
        InputError, StoreError: a clip cannot be read, or the store cannot be written.
    """
    check_evaluation(request)
    store, clips, pictures = open_store(request.store), request.clips, request.pictures
    names, of = unique_names(clips), unique_names(pictures)
    jobs = [
        _job("self", f"self__{names[clip]}", clip, _first_frame(store, request.run_id, clip, names[clip]))
        for clip in clips
    ]
    jobs += [
        _job("cross", f"cross__{of[picture]}__{names[clip]}", clip, picture) for picture in pictures for clip in clips
    ]
    key = _key(request.run_id, "jobs.jsonl")
    store.replace("".join(json.dumps(job) + "\n" for job in jobs).encode(), key)
    return Request(
        store=request.store,
        weights=request.weights,
        jobs=store.uri(key),
        detector=request.detector,
        defaults={"preset": request.preset, "seed": str(request.seed)},
        preview=request.preview,
        device=request.device,
        dtype=request.dtype,
        run_id=request.run_id,
        allow_input=(*ANY_PUBLIC, *(folder for folder in (request.drivings, request.portraits) if folder)),
    )


def measure_renders(
    request: EvaluationRequest, listener: Callable[[str], None], stopped: Callable[[], bool] = lambda: False
) -> Evaluation:
    """Measure every render of the run; the row of one that cannot be measured has an error.

    Args:
        listener: called with a message before each render.
        stopped: whether to cancel, checked before every frame.

    Raises:
        WeightsError: a network cannot be used.
        StoreError: the run's manifest cannot be read.
        Cancelled: `stopped` returned true.
    """
    device = pick_device(request.device)
    rows = [row for row in read_manifest(open_store(request.store), request.run_id).to_pylist() if row["tags"]]
    with scratch_folder() as scratch:
        places = (request.store, request.weights, request.detector or "")
        named = [folder for folder in (request.drivings, request.portraits) if folder]
        config = WorkerConfig(*places, request.device, request.dtype, scratch, policy=trusting(*named))
        tools = WorkerContext(config)
        embedder = Embedder(tools.animator, Path(request.embedder) if request.embedder else None)
        networks = Networks(
            lpips=_load(request.lpips, device, "--lpips"),
            inception=_load(request.inception, device, "--inception"),
            video=_load(request.video_features, device, "--video-features"),
        )
        evaluator = Evaluator(tools.animator, tools.detector, embedder, networks)
        clips: list[dict[str, Any]] = []
        for row in sorted(rows, key=lambda row: str(row["job_id"])):
            listener(f"measuring {row['job_id']}")
            clips.append(_measure(tools, evaluator, row, stopped))
        overall = evaluator.compute_overall()
    return Evaluation(request.run_id, clips, overall, networks.missing, embedder.name)


def publish_evaluation(request: EvaluationRequest, evaluation: Evaluation) -> str:
    """Write `clips.parquet` and `summary.md`; return the URI of `summary.md`.

    Raises:
        StoreError: they cannot be written.
    """
    store = open_store(request.store)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in evaluation.clips], schema=_SCHEMA), sink)
    store.replace(sink.getvalue(), _key(request.run_id, "clips.parquet"))
    key = evaluation_key(request.run_id)
    store.replace(evaluation.markdown().encode(), key)
    return store.uri(key)


def evaluation_key(run_id: str) -> str:
    """Return the key of an evaluation's `summary.md`."""
    return _key(run_id, "summary.md")


def _load(path: str | None, device: torch.device, purpose: str) -> TorchScript | None:
    return TorchScript(Path(path), device, purpose) if path is not None else None


def _key(run_id: str, name: str) -> str:
    return run_key(run_id, name).replace("runs/", "evaluations/", 1)


def _first_frame(store: Store, run_id: str, clip: str, name: str) -> str:
    """Write a clip's first frame as PNG under a name; return its URI."""
    with localised(clip, policy=trusting(clip)) as path:
        frames = media.decode(path)
        picture = next(frames)
        frames.close()
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    key = _key(run_id, f"portraits/{name}.png")
    store.replace(data.getvalue(), key)
    return store.uri(key)


def _job(kind: str, job_id: str, clip: str, portrait: str) -> dict[str, Any]:
    job = {"job_id": job_id, "portrait": portrait, "driving": clip, "output": "crop", "audio": "none"}
    return {**job, "tags": {"evaluation": kind}}


def _measure(
    tools: WorkerContext, evaluator: Evaluator, row: Mapping[str, Any], stopped: Callable[[], bool]
) -> dict[str, Any]:
    """Measure one render and return its row of `clips.parquet`."""
    kind = dict(row["tags"])["evaluation"]
    copied = ("run_id", "job_id", "portrait", "driving", "render_key")
    entry: dict[str, Any] = {name: row[name] for name in copied}
    entry |= {"kind": kind, "frames": row["frames"], "error": row["error"], **dict.fromkeys(_MEASURES)}
    if row["error"] or not row["crop_uri"]:
        return {**entry, "error": row["error"] or f"no video, the job's status is {row['status']}"}
    try:
        with tools.scratch() as folder:
            crop = folder / "crop.mp4"
            tools.store.get(f"renders/{row['render_key']}/{uris.name(row['crop_uri'])}", crop)
            subject = Subject(
                render=_until(stopped, media.decode(crop)),
                portrait=tools.input(Input(row["portrait"], row["portrait_sha256"] or "")),
                face=FaceChoice(),
                frames=media.decode(
                    tools.input(Input(row["driving"], row["driving_sha256"] or "")),
                    row["start_seconds"] or 0.0,
                    row["end_seconds"],
                ),
                shots=read_verified(tools.store, f"cache/motion/{row['motion_key']}.safetensors", load_shots),
                track=read_verified(tools.store, f"cache/tracks/{row['track_key']}.parquet", read_track),
                is_self=kind == "self",
            )
            return entry | evaluator.measure(subject)
    except Cancelled:
        raise
    except TroupeError as error:
        return {**entry, "error": error.message}


def _until(stopped: Callable[[], bool], frames: Iterable[Picture]) -> Iterator[Picture]:
    for frame in frames:
        if stopped():
            raise Cancelled("stopped while measuring; the renders are kept")
        yield frame
