"""What the steps use in a worker's process: the store, the networks, the detector, a folder for files."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catalogs.requests.access.content_hashes import Input, content_hash
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.inputs import InputStat, localise, stat
from catalogs.store import uris
from catalogs.store.store import Store, open_store
from models.face_files import detector_file, recogniser_file
from models.miniature import SHIPPED_WEIGHTS
from models.weight_files import model_files
from tasks.credentials.signer import Signer, configured_signer
from tasks.steps.lru_cache import LRUCache
from tasks.steps.specs import PortraitSpec
from tasks.weights.local_copy import local_file, local_weights
from troupe import Face, Floats, Picture
from troupe.errors import Cancelled, InputError, NoFace, WeightsError
from troupe.files import FileState, file_state
from troupe.process.scratch import claim
from troupe.shared_property import shared_property

if TYPE_CHECKING:
    # Imported when they are first used: a run's own process, which needs the configuration only, does not load torch,
    # and workers that load no networks do not load diffusers.
    from torch import Tensor

    from models.animator import Animator
    from models.faces import FaceDetector, FaceRecogniser
    from models.voice import VoiceNetwork
    from tasks.quality.syncnet import SyncNet

__all__ = ["WorkerConfig", "WorkerContext", "local_detector"]

INPUTS = 6
"""Number of inputs that one item needs at once at most, and that are kept for the next items."""
IDENTITIES = 16
"""Number of portraits whose identity vectors are kept."""

_log = logging.getLogger(__name__)

MINIATURE_ADVICE = (
    "the miniature's detector supports drawn people only: for photographs and footage get the full model with "
    "`troupe weights pull DIR` and name it with --weights, or name a detector with --detector"
)


@dataclass(frozen=True)
class WorkerConfig:
    """Configuration of every worker of a run.

    Attributes:
        store: URL of the store.
        weights: weights directory: a path that every machine has, or a URL from which each fetches it once.
        detector: detector file that replaces the weights' own, a path or URL as well; empty for the weights' own.
        device, dtype: device and number type of the networks; `auto` is what suits the machine.
        compile, gpu_memory: see `models.animator.load`.
        scratch: folder of the run for temporary files; the same path on every machine.
        policy: which inputs may be read.
        syncnet: file of a SyncNet that measures every film, a path or URL; empty for none.
        credentials: folder of the signer's files, the same path on every machine; empty for those that each worker's
            environment names.
    """

    store: str
    weights: str
    detector: str
    device: str
    dtype: str
    scratch: Path
    compile: bool = False
    gpu_memory: float | None = None
    policy: InputPolicy = PUBLIC
    credentials: str = ""
    syncnet: str = ""


def local_detector(config: WorkerConfig) -> Path:
    """Return the detector's file on this machine.

    Raises:
        WeightsError: it does not exist.
    """
    return local_file(config.detector) if config.detector else detector_file(local_weights(config.weights))


class _LocalInput:
    """An input on this machine.

    Attributes:
        path: the user's file, or a copy of it.
        folder: folder of the copy, removed when nobody refers to this any more.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


class _ThreadState(threading.local):
    """What belongs to the item that a thread works on: notes, and the inputs that must not be removed."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.inputs: deque[_LocalInput] = deque(maxlen=INPUTS)


class WorkerContext:
    """Store, networks and inputs of a worker. Each is made when it is first used, and kept: networks load once.

    Threads may share it, each with an item of its own.

    Args:
        config: configuration of the worker.
        stopped: whether the run is being stopped; called often.
    """

    def __init__(self, config: WorkerConfig, stopped: Callable[[], bool] = lambda: False) -> None:
        self.config = config
        self._stopped = stopped
        weakref.finalize(self, os.close, claim(config.scratch))
        self._inputs: LRUCache[_LocalInput] = LRUCache(INPUTS)
        self._identities: LRUCache[Tensor] = LRUCache(IDENTITIES)
        self._thread = _ThreadState()
        self._verified: dict[Input, InputStat] = {}
        self._loaded: dict[Path, FileState | None] = {}

    @shared_property
    def store(self) -> Store:
        """The store, opened in this process."""
        return open_store(self.config.store)

    @shared_property
    def signer(self) -> Signer | None:
        """The signer of this machine; None if none is configured."""
        return configured_signer(self.config.credentials)

    @shared_property
    def animator(self) -> Animator:
        """The networks of the weights directory."""
        from models.animator import load

        config = self.config
        directory = local_weights(config.weights)
        self._loaded |= {path: file_state(path) for path in model_files(directory)}
        return load(
            directory,
            config.device,
            config.dtype,
            compile=config.compile,
            gpu_memory=config.gpu_memory,
        )

    @shared_property
    def detector(self) -> FaceDetector:
        """The face detector."""
        from models.faces import open_detector

        path = local_detector(self.config)
        self._loaded[path] = file_state(path)
        return open_detector(path)

    @shared_property
    def syncnet(self) -> SyncNet | None:
        """The SyncNet that measures films, on the CPU; None if the run has none."""
        if not self.config.syncnet:
            return None
        import torch

        from tasks.quality.syncnet import SyncNet

        path = local_file(self.config.syncnet)
        self._loaded[path] = file_state(path)
        return SyncNet(path, torch.device("cpu"))

    @shared_property
    def voice(self) -> VoiceNetwork:
        """The voice of the weights directory, on the CPU.

        Raises:
            WeightsError: it has none, or one of another expression encoder.
        """
        from models.weights import load_voice, voice_file

        directory = local_weights(self.config.weights)
        voice = load_voice(directory)
        self._loaded[voice_file(directory)] = file_state(voice_file(directory))
        return voice

    def use_distilled(self) -> None:
        """Note that the distilled denoiser of the weights directory is going to be used; the animator loads it."""
        from models.weights import distilled_file

        path = distilled_file(local_weights(self.config.weights))
        self._loaded.setdefault(path, file_state(path))

    @contextmanager
    def detecting(self) -> Iterator[FaceDetector]:
        """Yield the face detector; where the miniature's finds no face, the error names the detector's limits.

        Raises:
            NoFace: the `with` block raised it.
        """
        try:
            yield self.detector
        except NoFace as error:
            if local_detector(self.config) == SHIPPED_WEIGHTS / "detector.onnx":
                raise NoFace(f"{error.message}; {MINIATURE_ADVICE}") from error
            raise

    @shared_property
    def recogniser(self) -> FaceRecogniser:
        """The face recognition network, which distinguishes the people in a clip."""
        from models.faces import FaceRecogniser

        return FaceRecogniser(recogniser_file(local_weights(self.config.weights)))

    def recognise(self, picture: Picture, face: Face) -> Floats:
        """Return the embedding of a face. Few clips need it: only then `recogniser` is loaded."""
        return self.recogniser(picture, face)

    def portrait_identity(self, portrait: PortraitSpec) -> Tensor:
        """Return the identity vector of a portrait's face, (1, N); kept for the next few jobs.

        Raises:
            NoFace, InputError, StoreError: the picture does not show the face, or cannot be read.
        """

        from tasks.quality.meter import aligned_portrait

        def encode() -> Tensor:
            size, path = self.animator.config.image_size, self.input(portrait.picture)
            return self.animator.identify(aligned_portrait(self.detector, size, path, portrait.face))

        return self._identities.get(portrait.key, encode)

    def input(self, source: Input) -> Path:
        """Return a local path of the user's file; fetched where it is not local, and kept for the next few jobs.

        Raises:
            MissingInput: the URI points at nothing.
            InputError: the file is not the one that the run was planned for.
            StoreError: it cannot be fetched.
        """

        def fetch() -> _LocalInput:
            folder = Path(tempfile.mkdtemp(prefix="input-", dir=self.config.scratch))
            try:
                path = localise(source.uri, folder, self.raise_if_cancelled, policy=self.config.policy)
                if uris.local_path(source.uri) is None:
                    _compare(source, path)
            except BaseException:
                shutil.rmtree(folder)
                raise
            return _LocalInput(path, folder)

        found = self._inputs.get(f"{source.sha256} {source.uri}", fetch)
        if found not in self._thread.inputs:
            self._thread.inputs.append(found)
        self.check_inputs(source)
        return found.path

    def check_inputs(self, *sources: Input) -> None:
        """Check that local files, which are used in place, still are those that the run was planned for.

        A file is hashed again only if its size, times or inode changed. To be called after the last use of a file, and
        before what was made from it is stored.

        Raises:
            MissingInput, InputError, StoreError: as `input`.
        """
        for source in sources:
            if not source.sha256 or uris.local_path(source.uri) is None:
                continue
            state = stat(source.uri, self.config.policy)
            if state in (source.stat, self._verified.get(source)):
                continue
            with self.scratch() as folder:
                _compare(source, localise(source.uri, folder, self.raise_if_cancelled, policy=self.config.policy))
            self._verified[source] = state

    def check_weights(self) -> None:
        """Check that the files of the networks still are those that were loaded; to be called as `check_inputs`.

        Raises:
            WeightsError: one of them changed.
        """
        changed = [str(path) for path, state in list(self._loaded.items()) if file_state(path) != state]
        if changed:
            raise WeightsError("the weights changed during the run; run again", changed)

    def note(self, text: str) -> None:
        """Log what was damaged in the store, and keep it for the row of a job."""
        _log.warning(text)
        self._thread.notes.append(text)

    def take_notes(self) -> tuple[str, ...]:
        """Return this thread's notes since the last call."""
        notes, self._thread.notes = tuple(self._thread.notes), []
        return notes

    def raise_if_cancelled(self) -> None:
        """Raise if the run is being stopped; to be called often in long work.

        Raises:
            Cancelled: the run is being stopped.
        """
        if self._stopped():
            raise Cancelled("stopped in the middle of a render")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a temporary folder, removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="work-", dir=self.config.scratch) as folder:
            yield Path(folder)


def _compare(source: Input, path: Path) -> None:
    """Raise InputError if the content of a local input, or local copy, is not the expected one."""
    if source.sha256 and content_hash(path) != source.sha256:
        raise InputError(f"{uris.redacted(source.uri)} changed after the run had been planned; run again")
