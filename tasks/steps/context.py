"""What a worker holds in its hands: the store, the networks, the detector, a place for files."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from catalogs.requests.inputs import localise
from catalogs.store.store import Store, open_store
from models.animator import Animator
from models.animator import load as load_animator
from models.faces import FaceDetector, FaceRecogniser, open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.weights import detector_file, recogniser_file
from tasks.weights.local_copy import local_file, local_weights
from troupe import Face, Floats, Picture
from troupe.errors import Cancelled, NoFace
from troupe.scratch import claim

__all__ = ["Recent", "WorkerConfig", "WorkerContext", "local_detector"]

T = TypeVar("T")

DRAWN_ONLY = (
    "the miniature's detector knows drawn people only: for photographs and footage get the full model with "
    "`troupe weights pull DIR` and name it with --weights, or name a detector with --detector"
)
"""What to do where the miniature finds nobody."""


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker of a run is given.

    Attributes:
        store: URL of the store.
        weights: the weights directory: a path that every machine has, or a URL from which each fetches them once.
        detector: likewise, of a detector file that replaces the weights' own; empty for that.
        device, dtype: for the networks; `auto` takes what the machine is best at.
        compile, gpu_memory: as `models.animator.load` takes them.
        scratch: a folder of the run for temporary files; the same path on every machine.
    """

    store: str
    weights: str
    detector: str
    device: str
    dtype: str
    scratch: Path
    compile: bool = False
    gpu_memory: float | None = None


def local_detector(setup: WorkerConfig) -> Path:
    """The detector's file on this machine.

    Raises:
        WeightsError: there is none.
    """
    return local_file(setup.detector) if setup.detector else detector_file(local_weights(setup.weights))


class Recent(Generic[T]):
    """The last few values by key, so that neighbouring jobs need not fetch or load them again."""

    def __init__(self, size: int, forget: Callable[[T], None] = lambda _: None) -> None:
        self._size, self._forget = size, forget
        self._values: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value of that key, made if it is not among the recent ones."""
        if key not in self._values:
            self._values[key] = make()
            while len(self._values) > self._size:
                self._forget(self._values.popitem(last=False)[1])
        self._values.move_to_end(key)
        return self._values[key]


class WorkerContext:
    """Everything is made when it is first needed and then kept: no network is loaded twice in a process."""

    def __init__(self, setup: WorkerConfig, stopped: Callable[[], bool] = lambda: False) -> None:
        self.setup = setup
        self._stopped = stopped
        self._claim = claim(setup.scratch)
        self._inputs: Recent[tuple[Path, Path]] = Recent(4, lambda entry: shutil.rmtree(entry[1]))

    @cached_property
    def store(self) -> Store:
        """The store, opened in this process."""
        return open_store(self.setup.store)

    @cached_property
    def animator(self) -> Animator:
        """The networks of the weights directory."""
        setup = self.setup
        return load_animator(
            local_weights(setup.weights), setup.device, setup.dtype, compile=setup.compile, gpu_memory=setup.gpu_memory
        )

    @cached_property
    def detector(self) -> FaceDetector:
        """The face detector."""
        return open_detector(local_detector(self.setup))

    @contextmanager
    def seeking(self) -> Iterator[FaceDetector]:
        """The face detector; if it finds nobody and knows drawn people only, the error says so.

        Raises:
            NoFace: as what is done with it does.
        """
        try:
            yield self.detector
        except NoFace as error:
            if local_detector(self.setup) == SHIPPED_WEIGHTS / "detector.onnx":
                raise NoFace(f"{error.message}; {DRAWN_ONLY}") from error
            raise

    @cached_property
    def recogniser(self) -> FaceRecogniser:
        """The face recognition network, to tell the people in a clip apart."""
        return FaceRecogniser(recogniser_file(local_weights(self.setup.weights)))

    def recognise(self, picture: Picture, face: Face) -> Floats:
        """Who a face is, by `recogniser`, which few clips need and is loaded then."""
        return self.recogniser(picture, face)

    def input(self, uri: str) -> Path:
        """A local path of the user's file; fetched where it is not local, and kept for the next few jobs.

        Raises:
            MissingInput: there is nothing at that URI.
            StoreError: it could not be fetched.
        """

        def fetch() -> tuple[Path, Path]:
            folder = Path(tempfile.mkdtemp(prefix="input-", dir=self.setup.scratch))
            return localise(uri, folder), folder

        return self._inputs.get(uri, fetch)[0]

    def raise_if_cancelled(self) -> None:
        """Called often in long work.

        Raises:
            Cancelled: the work is not wanted any more.
        """
        if self._stopped():
            raise Cancelled("stopped in the middle of a render")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="work-", dir=self.setup.scratch) as folder:
            yield Path(folder)
