"""Checks of this machine and its installation for `troupe doctor`.

Every check imports what it examines itself, so that a failing import is a finding.
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
from troupe.process.scratch import scratch_folder

__all__ = ["Finding", "State", "examine"]

State = Literal["ok", "warn", "bad"]
GB = 1e9
MIN_MEMORY = 8 * GB
"""Bytes of memory for the full-size networks: 4 GB in 16 bits, and as much again for activations."""
MIN_GPU_MEMORY = 7.5 * GB
"""Bytes that a card sold as 8 GB reports."""
MIN_SCRATCH = 2 * GB
"""Bytes of temporary files per worker: a few clips with their renders."""
FULL_DISK = 0.95
"""Fraction in use from which Ray stores no objects on a disk."""
REPORTED_PACKAGES = ("torch", "diffusers", "ray", "prefect", "onnxruntime", "pyarrow", "deltalake", "av")


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: name of the check.
        state: `ok`; `warn` if something works only partly; `bad` if a run would fail.
        what: description of what was found.
        advice: what to do about it; empty if ok.
    """

    name: str
    state: State
    what: str
    advice: str = ""


def examine(
    store: str,
    weights: Path,
    detector: Path | None,
    prefect: Callable[[], str],
    signer: Callable[[], tuple[str, str]] = lambda: ("not tried", ""),
) -> list[Finding]:
    """Check everything a run needs; a failing check is a finding, never an error.

    Args:
        store: URL of the store that a run would use.
        weights: the weights directory.
        detector: file of the face detector; None uses the one in the weights directory.
        prefect: asks the Prefect server, and returns what it found.
        signer: tries the signer, and returns what it found, and advice if something is to be done.
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
        ("prefect", lambda: Finding("prefect", "ok", prefect())),
        ("temporary folder", _scratch),
        ("store", lambda: _store(store)),
        ("weights", lambda: _weights(weights)),
        ("detector", lambda: _detector(weights, detector)),
        ("signer", lambda: _signer(*signer())),
    ]
    return [_run_check(name, check) for name, check in checks]


def _run_check(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except TroupeError as error:
        return Finding(name, "bad", str(error))
    except Exception as error:  # a broken installation may raise anything
        return Finding(name, "bad", f"{type(error).__name__}: {error}", "reinstall troupe: `make setup`")


def _signer(what: str, advice: str) -> Finding:
    return Finding("signer", "warn" if advice else "ok", what, advice)


def _python() -> Finding:
    what = f"{platform.python_implementation()} {platform.python_version()}, {platform.platform(terse=True)}"
    return Finding("python", "ok", f"{what}, {sys.executable}")


def _packages() -> Finding:
    """Check that all of troupe's requirements are installed."""
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
    versions = ", ".join(f"{name} {_version(name)}" for name in REPORTED_PACKAGES)
    what = f"troupe {_version('troupe')} with {versions}"
    if problems:
        return Finding("packages", "bad", "; ".join([*problems, what]), "reinstall troupe: `make setup`")
    return Finding("packages", "ok", what)


def _cpu() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    match _limit("cpu.max"):
        case [quota, period] if int(quota) < cores * int(period):
            return Finding("cpu", "ok", f"{int(quota) / int(period):g} of {cores} cores (a limit of the container)")
    return Finding("cpu", "ok", f"{cores} cores")


def _memory() -> Finding:
    import psutil

    total = psutil.virtual_memory().total
    what = f"{total / GB:.1f} GB"
    match _limit("memory.max"):
        case [limit] if int(limit) < total:
            total = int(limit)
            what = f"{total / GB:.1f} of {what} (a limit of the container)"
    if total < MIN_MEMORY:
        return Finding(
            "memory",
            "warn",
            what,
            f"without a GPU the full-size networks need about {MIN_MEMORY / GB:.0f} GB; the miniature runs",
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
        if min(card.total_memory for card in found) < MIN_GPU_MEMORY:
            return Finding("gpu", "warn", what, "less than 8 GB: the full-size networks do not fit")
        return Finding("gpu", "ok", what)
    if not cards:
        return Finding("gpu", "warn", "none", "networks run on the CPU: fine for the miniature, slow at full size")
    what = f"{', '.join(name for name, _ in cards)}, driver {cards[0][1]}, but torch {torch.__version__} cannot use it"
    if built is None:
        return Finding(
            "gpu",
            "bad",
            f"{what}: it is a CPU build",
            "run `make setup` again to install a CUDA build",
        )
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return Finding("gpu", "warn", f"{what}: CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES")
    return Finding("gpu", "bad", f"{what}: it is built for CUDA {built}", f"update the driver to support CUDA {built}")


def _cards() -> list[tuple[str, str]]:
    """Return name and driver version of every NVIDIA card, by nvidia-smi; empty if there is none."""
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
    """Encode a video with sound: only this proves that the binary has both encoders."""
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
    return Finding("ffmpeg", "ok", f"{ffmpeg_binary()} encodes H.264 with AAC sound")


def _opencv() -> Finding:
    packages = sorted(set(metadata.packages_distributions().get("cv2", ())))
    try:
        import cv2
    except ImportError as error:
        advice = "keep exactly one OpenCV package: `make setup`"
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            advice = "install the system's libgl1 and libglib2.0-0, or opencv-python-headless instead of opencv-python"
        return Finding("opencv", "bad", f"cannot be imported: {error}", advice)
    if len(packages) > 1:
        what = f"{cv2.__version__}, but installed by {len(packages)} packages: {', '.join(packages)}"
        return Finding("opencv", "warn", what, "they overwrite each other's files: uninstall all and install one")
    return Finding("opencv", "ok", cv2.__version__)


def _ray() -> Finding:
    import ray

    return Finding("ray", "ok", str(ray.__version__))


def _scratch() -> Finding:
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"troupe")
    usage = shutil.disk_usage(folder)
    what = f"{folder} has {usage.free / GB:.1f} GB free"
    advice = "make room, or set TMPDIR to a folder on another disk"
    if usage.free < MIN_SCRATCH:
        return Finding("temporary folder", "warn", what, advice)
    if usage.free < (1 - FULL_DISK) * usage.total:
        return Finding("temporary folder", "warn", f"{what}, and is more than {FULL_DISK:.0%} full", advice)
    return Finding("temporary folder", "ok", what)


def _store(url: str) -> Finding:
    from catalogs.store.policy import read_policy
    from catalogs.store.store import open_store
    from catalogs.table.check import check_store

    is_new = "://" not in url and not Path(url).exists()
    store = open_store(url)
    check_store(store)
    read_policy(store)
    if is_new:
        with suppress(OSError):  # the check leaves nothing behind; another run may have started to fill it
            Path(url).rmdir()
    what = f"{url} can be read, written and listed, files and rows"
    if not store.exclusive:
        advice = "let only one run at a time write to it; folders, S3, GCS and Azure do not have this limit"
        return Finding("store", "warn", f"{what}, but does not stop two writers from overwriting each other", advice)
    return Finding("store", "ok", what)


def _weights(directory: Path) -> Finding:
    from models.miniature import SHIPPED_WEIGHTS
    from models.weights import inspect_weights

    reports = inspect_weights(directory)
    invalid = [report for report in reports if report.problems]
    if invalid:
        what = "; ".join(f"{report.file}: {report.problems[0]}" for report in invalid)
        return Finding("weights", "bad", f"{directory}: {what}", f"see `troupe weights check {directory}`")
    parameters = sum(report.parameters for report in reports)
    what = f"{directory}, {parameters / 1e6:.1f} million parameters"
    if directory == SHIPPED_WEIGHTS:
        advice = "download the full model with `troupe weights pull DIR` and pass it with --weights"
        return Finding("weights", "warn", f"troupe's miniature, for drawn faces: {what}", advice)
    return Finding("weights", "ok", what)


def _detector(weights: Path, detector: Path | None) -> Finding:
    from models.faces import open_detector
    from models.weights import detector_file

    path = detector or detector_file(weights)
    open_detector(path, "cpu")
    return Finding("detector", "ok", str(path))


def _limit(name: str) -> list[str]:
    """Return the values in one of the control group's files; empty if it does not exist or sets no limit."""
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
