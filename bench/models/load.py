"""Seconds and memory to load a model, from `.pth` files and from converted ones.

Random weights in two directories that differ only in their files' format, loaded in fresh processes, in turn. A mapped
file costs little until it is read, so every value is read once after `load`, and both times are reported. The files
were just written and are in the system's cache: the cost of a slow disk is not included.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.support.machine import isolated, peak_memory, resident
from bench.support.random_weights import FULL, REFERENCE, TINY, Model, write_weights
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from models.animator import load
from models.runtime.device import DTYPES, pick_device
from tasks.weights.check import convert
from troupe.process.scratch import scratch_folder

__all__ = ["Loading", "load_model", "measure", "parser"]

MODELS = {
    "small": REFERENCE,
    "full": replace(FULL, stored=torch.float32),
    "tiny": TINY,
}
FORMATS = ("pth", "safetensors")
MAX_COPIES = 1.25
"""Peak memory over the weights' size: one copy and some overhead."""


@dataclass(frozen=True)
class Loading:
    """Measurements of one process.

    Attributes:
        load: seconds of `load`.
        read: seconds to then read every value.
        weights: size of the values on the device in bytes.
        loaded, peak: growth of resident memory in bytes, after `load` and at the peak.
        gpu: peak GPU memory in bytes, if there is a GPU.
    """

    load: float
    read: float
    weights: int
    loaded: int
    peak: int
    gpu: int | None


def measure(args: Namespace) -> Findings:
    """Load both formats, a few times in turn."""
    name = "full" if args.full else args.model
    cpu = pick_device(args.device).type == "cpu"
    dtype = args.dtype or ("float32" if cpu else "auto")
    loadings: dict[str, list[Loading]] = {form: [] for form in FORMATS}
    with scratch_folder() as folder:
        log("writing random weights")
        directories = write_both(Path(folder), MODELS[name])
        sizes = {form: _size(directory) for form, directory in directories.items()}
        for run in range(args.runs):
            for form, directory in directories.items():
                log(f"run {run + 1} of {args.runs}: {form}")
                loadings[form].append(isolated(load_model, directory, args.device, dtype))
    cases = {form: _case(sizes[form], runs) for form, runs in loadings.items()}
    checks: dict[str, Check] = {}
    # While values are converted, the file's pages, which the system may drop, are in RAM beside them.
    if cpu and dtype == "float32" and name != "tiny":
        checks["copies"] = Check.at_most(cases["safetensors"].number("copies"), MAX_COPIES)
    return Findings(cases, checks)


def write_both(folder: Path, model: Model) -> dict[str, Path]:
    """Write the same random weights in both formats."""
    directories = {form: folder / form for form in FORMATS}
    write_weights(directories["pth"], model)
    shutil.copytree(directories["pth"], directories["safetensors"], copy_function=os.link)
    for made in convert(directories["safetensors"]):
        made.with_suffix(".pth").unlink()
    return directories


def load_model(directory: Path, device: str, dtype: str) -> Loading:
    """Load the model in this process."""
    before, started = resident(), time.perf_counter()
    animator = load(directory, device, dtype)
    loaded, ready = resident() - before, time.perf_counter()
    networks = animator._networks  # only this benchmark needs to reach every value
    values = [value for module in networks.all for value in (*module.parameters(), *module.buffers())]
    for value in values:
        value.sum().item()
    return Loading(
        load=ready - started,
        read=time.perf_counter() - ready,
        weights=sum(value.nbytes for value in values),
        loaded=loaded,
        peak=peak_memory() - before,
        gpu=animator.peak_gpu_bytes,
    )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _case(size: int, runs: Sequence[Loading]) -> Case:
    samples = {"load_seconds": [run.load for run in runs], "read_seconds": [run.read for run in runs]}
    peak, weights = max(run.peak for run in runs), runs[0].weights
    return Case(
        {
            **{name: statistics.median(values) for name, values in samples.items()},
            "files_bytes": size,
            "weights_bytes": weights,
            "memory_after_load_bytes": max(run.loaded for run in runs),
            "peak_memory_bytes": peak,
            "copies": peak / weights,
            "gpu_peak_bytes": runs[0].gpu,
        },
        samples,
    )


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--model", choices=("small", "tiny"), default="small", help="sizes of the networks")
    options.add_argument("--full", action="store_true", help="the released sizes; needs 16 GB of temporary disk")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument(
        "--dtype",
        choices=("auto", *DTYPES),
        help="of denoiser and decoder; by default float32, as the files have it, on a CPU, else auto",
    )
    options.add_argument("--runs", type=positive_int, default=5, metavar="N", help="runs of each format")
    return options


if __name__ == "__main__":
    main("load", parser(), measure)
