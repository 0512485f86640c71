"""What this machine has for the work, and what it lacks.

Every check imports for itself what it looks at: that an import fails is one of the things to be found out.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from troupe.errors import TroupeError
from troupe.scratch import scratch_folder

__all__ = ["Finding", "State", "examine"]

State = Literal["ok", "warn", "bad"]
GB = 1e9
MEMORY = 8 * GB
"""The full-size networks are 4 GB in 16 bits and need as much again to work with."""
GPU_MEMORY = 7.5 * GB
"""A card sold as 8 GB reports a little less."""
SCRATCH = 2 * GB
"""Some clips with their renders, for each worker."""
FULL_DISK = 0.95
"""Ray stops keeping objects on a disk that is fuller than this."""
PARTS = ("torch", "diffusers", "ray", "prefect", "onnxruntime", "pyarrow", "deltalake", "av")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of the thing.
        state: `ok`; `warn`: works, but not fully or not for everything; `bad`: the work would fail.
        what: was found.
        advice: what to do about it; empty if ok.
    """

    name: str
    state: State
    what: str
    advice: str = ""


def examine(store: str, weights: Path, detector: Path | None) -> list[Finding]:
    """Look at everything a run needs; a check that fails is a finding, never an error.

    Args:
        store: URL of the store that a run would use.
        weights: the weights directory.
        detector: the face detector's file; None takes the weights directory's own.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("packages", _packages),
        ("cpu", _cpu),
        ("memory", _memory),
        ("gpu", _gpu),
        ("ffmpeg", _ffmpeg),
        ("opencv", _opencv),
        ("ray", _ray),
        ("prefect", _prefect),
        ("temporary folder", _scratch),
        ("store", lambda: _store(store)),
        ("weights", lambda: _weights(weights)),
        ("detector", lambda: _detector(weights, detector)),
    ]
    return [_robust(name, check) for name, check in checks]


def _robust(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except TroupeError as error:
        return Finding(name, "bad", str(error))
    except Exception as error:  # whatever a broken installation raises is what was to be found
        return Finding(name, "bad", f"{type(error).__name__}: {error}", "install troupe anew: `make setup`")


def _python() -> Finding:
    what = f"{platform.python_implementation()} {platform.python_version()}, {platform.platform(terse=True)}"
    return Finding("python", "ok", f"{what}, {sys.executable}")


def _packages() -> Finding:
    """Whether every requirement of troupe's own is met."""
    from packaging.requirements import Requirement

    problems = []
    for line in metadata.requires("troupe") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} is {version}, troupe needs {requirement.specifier}")
    have = ", ".join(f"{name} {_version(name)}" for name in PARTS)
    what = f"troupe {_version('troupe')} with {have}"
    if problems:
        return Finding("packages", "bad", "; ".join([*problems, what]), "install troupe anew: `make setup`")
    return Finding("packages", "ok", what)


def _cpu() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    match _limit("cpu.max"):
        case [quota, period] if int(quota) < cores * int(period):
            return Finding("cpu", "ok", f"{int(quota) / int(period):g} of {cores} cores (a limit of the container)")
    return Finding("cpu", "ok", f"{cores} cores")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    what = f"{total / GB:.1f} GB"
    match _limit("memory.max"):
        case [limit] if int(limit) < total:
            total = int(limit)
            what = f"{total / GB:.1f} of {what} (a limit of the container)"
    if total < MEMORY:
        return Finding(
            "memory",
            "warn",
            what,
            f"the full-size networks need about {MEMORY / GB:.0f} GB where no GPU holds them; a miniature runs",
        )
    return Finding("memory", "ok", what)


def _gpu() -> Finding:
    import torch

    cards, built = _cards(), torch.version.cuda or torch.version.hip
    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        what = ", ".join(f"{card.name} with {card.total_memory / GB:.1f} GB" for card in found)
        driver = f", driver {cards[0][1]}" if cards else ""
        what = f"{what}; torch {torch.__version__} for CUDA {built}{driver}"
        if min(card.total_memory for card in found) < GPU_MEMORY:
            return Finding("gpu", "warn", what, "less than 8 GB: the full-size networks do not fit")
        return Finding("gpu", "ok", what)
    if not cards:
        return Finding("gpu", "warn", "none", "the CPU does the work: right for a miniature, slow at full size")
    what = f"{', '.join(name for name, _ in cards)}, driver {cards[0][1]}, but torch {torch.__version__} cannot use it"
    if built is None:
        return Finding("gpu", "bad", f"{what}: it is a CPU build", "run `make setup` again: it takes a CUDA build here")
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return Finding("gpu", "warn", f"{what}: CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES")
    return Finding("gpu", "bad", f"{what}: it is built for CUDA {built}", "update the driver to one for that CUDA")


def _cards() -> list[tuple[str, str]]:
    """Name and driver of every NVIDIA card, as the driver's own tool says; empty if there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        ran = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return []
    pairs = [line.rsplit(",", 1) for line in ran.stdout.splitlines() if "," in line]
    return [(name.strip(), driver.strip()) for name, driver in pairs]


def _ffmpeg() -> Finding:
    """Whether a video with sound can be made: the only proof that the binary has both encoders."""
    from tasks.media import AudioSource, encode, ffmpeg_binary

    with scratch_folder() as folder:
        sound, video = folder / "sound.wav", folder / "video.mp4"
        with wave.open(str(sound), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(48_000)
            file.writeframes(bytes(2 * 48_000))
        frames = [np.full((64, 64, 3), 40 * value, np.uint8) for value in range(5)]
        encode(frames, video, rate=Fraction(25), size=(64, 64), audio=AudioSource(sound))
    return Finding("ffmpeg", "ok", f"{ffmpeg_binary()} makes H.264 with AAC sound")


def _opencv() -> Finding:
    brought = sorted(set(metadata.packages_distributions().get("cv2", ())))
    try:
        import cv2
    except ImportError as error:
        advice = "keep exactly one OpenCV package: `make setup`"
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            advice = "install the system's libgl1 and libglib2.0-0, or opencv-python-headless instead of opencv-python"
        return Finding("opencv", "bad", f"cannot be imported: {error}", advice)
    if len(brought) > 1:
        what = f"{cv2.__version__}, but from {len(brought)} packages at once: {', '.join(brought)}"
        return Finding("opencv", "warn", what, "they overwrite each other's files: uninstall all, install one")
    return Finding("opencv", "ok", cv2.__version__)


def _ray() -> Finding:
    import ray

    return Finding("ray", "ok", str(ray.__version__))


def _prefect() -> Finding:
    where = os.environ.get("PREFECT_API_URL")
    what = f"{metadata.version('prefect')}, {f'with the server at {where}' if where else 'starting its own server'}"
    return Finding("prefect", "ok", what)


def _scratch() -> Finding:
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"troupe")
    usage = shutil.disk_usage(folder)
    what = f"{folder} has {usage.free / GB:.1f} GB free"
    advice = "make room, or set TMPDIR to a folder on another disk"
    if usage.free < SCRATCH:
        return Finding("temporary folder", "warn", what, advice)
    if usage.free < (1 - FULL_DISK) * usage.total:
        return Finding("temporary folder", "warn", f"{what}, and is more than {FULL_DISK:.0%} full", advice)
    return Finding("temporary folder", "ok", what)


def _store(url: str) -> Finding:
    from catalogs.store.store import open_store

    new = "://" not in url and not Path(url).exists()
    open_store(url).check()
    if new:
        with suppress(OSError):  # looking leaves nothing behind; another run may have begun to fill it
            Path(url).rmdir()
    what = f"{url} can be read, written and listed"
    if not open_store(url).exclusive:
        advice = "let only one run at a time write to it; folders, S3, GCS and Azure know no such limit"
        return Finding("store", "warn", f"{what}, but lets a second writer overwrite a file", advice)
    return Finding("store", "ok", what)


def _weights(directory: Path) -> Finding:
    from models.miniature import SHIPPED_WEIGHTS
    from models.weights import inspect_weights

    reports = inspect_weights(directory)
    wrong = [report for report in reports if report.problems]
    if wrong:
        what = "; ".join(f"{report.file}: {report.problems[0]}" for report in wrong)
        return Finding("weights", "bad", f"{directory}: {what}", f"see `troupe weights check {directory}`")
    parameters = sum(report.parameters for report in reports)
    what = f"{directory}, {parameters / 1e6:.1f} million parameters"
    if directory == SHIPPED_WEIGHTS:
        advice = "`troupe weights pull DIR` gets the full model; name it with --weights"
        return Finding("weights", "warn", f"troupe's miniature, for drawn people: {what}", advice)
    return Finding("weights", "ok", what)


def _detector(weights: Path, detector: Path | None) -> Finding:
    from models.faces import open_detector
    from models.weights import detector_file

    path = detector or detector_file(weights)
    open_detector(path, "cpu")
    return Finding("detector", "ok", str(path))


def _limit(name: str) -> list[str]:
    """The words of one of the control group's files, where the kernel has it and it sets a limit."""
    try:
        words = (Path("/sys/fs/cgroup") / name).read_text().split()
    except OSError:
        return []
    return [] if "max" in words else words


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(missing)"
