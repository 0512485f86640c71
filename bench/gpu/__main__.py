"""The model on a GPU, in one command and on one page: everything that a machine without a GPU cannot measure.

Random weights of the released sizes. Sections:

  speed         frames per second of clips of 100 and 250 frames in float16 and bfloat16, eager and compiled
  number-types  distance of 16 bits from float32
  memory        peak memory and speed within 6 to 80 GiB
  encoders      x264 against NVENC
  processes     one process per GPU, alone and together

A section that cannot run here or fails is told with its reason, and the others go on. All of them take about half an
hour on a current GPU. Without a GPU, `--device cpu --config tiny` tests the command.
"""

from __future__ import annotations

import traceback
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch

from bench.gpu.page import write_page
from bench.gpu.sections import SECTIONS, NotRun, setup_for
from bench.models.sampler import CONFIGURATIONS
from bench.support.random_weights import write_weights
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from troupe.errors import SettingsError
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser"]


def measure(args: Namespace) -> Findings:
    """Run the sections that the arguments select and write the page.

    Raises:
        SettingsError: there is no GPU, and none but a GPU was asked for.
    """
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        raise SettingsError("torch finds no GPU here; `--device cpu --config tiny` tests the command without one")
    if args.page and not Path(args.page).absolute().parent.is_dir():
        raise SettingsError(f"there is no folder for {args.page}")
    found: dict[str, Findings | str] = {}
    with scratch_folder() as folder:
        log("writing random weights")
        directory = write_weights(Path(folder) / "weights", CONFIGURATIONS[args.config].model)
        setup = setup_for(directory, args.config, args.device, args.frames, args.steps)
        for name in args.only or SECTIONS:
            log(f"section {name}")
            try:
                found[name] = SECTIONS[name](setup)
            except NotRun as reason:
                found[name] = f"not run: {reason}"
            except Exception as error:  # one section's failure must not cost the results of the others
                traceback.print_exc()
                found[name] = f"failed: {type(error).__name__}: {error}"
            if isinstance(found[name], str):
                log(f"section {name} {found[name]}")
            if args.page:  # after every section, so that a stop loses only one
                write_page(Path(args.page), found)
    return _together(found)


def _together(found: dict[str, Findings | str]) -> Findings:
    """Return all sections as the findings of one benchmark."""
    cases: dict[str, Case] = {}
    checks: dict[str, Check] = {}
    for name, findings in found.items():
        if isinstance(findings, str):
            cases[name] = Case({"result": findings})
            continue
        cases |= {f"{name}: {case}": figures for case, figures in findings.cases.items()}
        checks |= {f"{name}: {check}": value for check, value in findings.checks.items()}
    return Findings(cases, checks)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    options.add_argument("--config", choices=("full", "tiny"), default="full", help="sizes of the model")
    options.add_argument("--frames", type=positive_int, default=25, metavar="N", help="length of the compared clips")
    options.add_argument("--steps", type=positive_int, default=10, metavar="N", help="their sampler steps")
    options.add_argument("--only", nargs="+", choices=SECTIONS, help="some sections")
    options.add_argument("--page", metavar="FILE", help="write the results as Markdown")
    return options


if __name__ == "__main__":
    main("gpu", parser(), measure)
