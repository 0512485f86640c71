"""The training loop, with checkpoints from which a stopped training resumes exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from models.runtime.device import pick_device
from models.training import Batch, Objective
from tasks.train import curves
from tasks.train.config import PartConfig
from tasks.train.examples import Share, batches, first_example
from tasks.train.muon import Muon
from tasks.train.results import RECIPE, RESULT, check_settings, result
from troupe.errors import Cancelled, SettingsError
from troupe.files import replacing

__all__ = ["CURVE", "OnStep", "train"]

CURVE, PICTURE = "curve.jsonl", "curves.png"
LOG_EVERY, LOG_SECONDS = 10, 5.0
"""Steps and seconds between two writings of losses, whichever is less."""
CHECKPOINTS_KEPT = 2
"""Number of checkpoints kept: the one before the last serves when the last is damaged."""

OnStep = Callable[[int, dict[str, Any]], None]
"""Called with the number of steps done and the last step's losses."""


def train(
    objective: Objective,
    config: PartConfig,
    weights: Path,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    on_step: OnStep = lambda *_: None,
    device: str = "auto",
) -> None:
    """Train one part and write it into the weights directory; resumes from the last checkpoint.

    In a torch distributed environment, its processes share every batch.

    Args:
        weights: weights directory.
        folder: folder of this training, shared by all processes.
        stop: polled between steps; when it returns true, a checkpoint is saved and the training stops.
        device: `cpu`, or `auto` for a GPU if there is one.

    Raises:
        SettingsError: the folder holds a training with other settings, or the batch does not divide among the workers.
        Cancelled: the training was stopped.
    """
    check_settings(folder, config)
    if result(folder, config) is not None:
        return
    # Accelerate keeps the settings of the process's first accelerator.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    accelerator = Accelerator(
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        # Without it, each worker on a machine without a GPU would train alone.
        cpu=pick_device(device).type == "cpu",
        # Some parameters never get a gradient: the released adapters hold weights without effect.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    workers = accelerator.num_processes
    assert workers == (torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1)
    config.check_share(workers)
    folder.mkdir(parents=True, exist_ok=True)
    # Errors in the examples are raised here, not in a loader process.
    first_example(objective, config)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = objective.network()
    network.to(accelerator.device).train()
    learned = [value for value in network.parameters() if value.requires_grad]
    kind = Muon if config.optimizer == "muon" else torch.optim.AdamW
    optimizer = kind(_groups(network, config), config.rate, weight_decay=config.weight_decay)
    average = EMAModel(learned, decay=config.ema) if config.ema else None
    done = _resume(folder, network, optimizer, average, accelerator.device)
    if accelerator.is_main_process:
        (folder / RECIPE).write_text(json.dumps(config.as_dict(), indent=2) + "\n")
        curves.keep_until(folder / CURVE, done)
        if earlier := curves.read(folder / CURVE):
            on_step(done, earlier[-1])
    log = _Log(folder, accelerator, on_step)
    model, prepared = accelerator.prepare(_Losses(objective, network), optimizer)
    examples = batches(objective, config, done, Share(accelerator.process_index, workers))
    schedule = _schedule(optimizer, config, done)
    next_check = done + 1
    for _ in range(done, config.steps):
        losses: dict[str, Tensor] = {}
        for micro in range(config.accumulate):
            batch = {name: value.to(accelerator.device) for name, value in next(examples).items()}
            last = micro == config.accumulate - 1
            with nullcontext() if last else accelerator.no_sync(model):
                with accelerator.autocast():
                    found = model(batch)
                accelerator.backward(found["loss"] / config.accumulate)
            for name, value in found.items():
                losses[name] = losses.get(name, 0) + value.detach().float() / config.accumulate
        accelerator.clip_grad_norm_(learned, config.clip)
        prepared.step()
        prepared.zero_grad()
        if average is not None:
            average.step(learned)
        done += 1
        log.add(done, losses, optimizer.param_groups[0]["lr"] / optimizer.param_groups[0].get("multiple", 1.0))
        schedule.step()
        ends, saves = done == config.steps, done % config.save_every == 0
        # Several workers do this together, and so rarely that it takes no time, unless the steps themselves are slow.
        if ends or saves or workers == 1 or done >= next_check:
            stopped, pace = _agree(accelerator, stop() and not ends, log.pace)
            next_check = done + max(1, min(LOG_EVERY, int(LOG_SECONDS / pace)))
            if ends or stopped or workers > 1 or done % LOG_EVERY == 0 or log.due:
                log.write()
            if accelerator.is_main_process and (ends or stopped or saves):
                _save(folder, done, network, optimizer, average)
                curves.draw(curves.read(folder / CURVE), folder / PICTURE, f"{config.part}, {done} steps")
            if stopped:
                raise Cancelled(f"training of {config.part} stopped after step {done}; run the same command to resume")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if average is not None:
            average.copy_to(learned)
        _finish(objective, network.cpu().eval(), config, weights, folder)
    accelerator.wait_for_everyone()


class _Losses(nn.Module):
    """Compute the losses as a module, so that DistributedDataParallel averages the gradients."""

    def __init__(self, objective: Objective, network: nn.Module) -> None:
        super().__init__()
        self.objective, self.network = objective, network

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.objective.losses(self.network, batch)


class _Log:
    """Buffers the losses of several steps, so that the GPU is not synchronised at each.

    Attributes:
        pace: seconds that the last step took.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, on_step: OnStep) -> None:
        self._path, self._accelerator, self._on_step = folder / CURVE, accelerator, on_step
        self._pending: list[tuple[int, dict[str, Tensor], float, float]] = []
        self.pace = 1e-9
        self._started = self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last writing is `LOG_SECONDS` ago."""
        return time.monotonic() - self._written >= LOG_SECONDS

    def add(self, step: int, losses: dict[str, Tensor], rate: float) -> None:
        now = time.monotonic()
        self.pace = max(now - self._started, 1e-9)
        self._pending.append((step, losses, rate, self.pace))
        self._started = now

    def write(self) -> None:
        """Append the buffered steps to the curve; a collective operation of all workers."""
        if not self._pending:
            return
        names = sorted(self._pending[0][1])
        table = torch.stack([torch.stack([losses[name] for name in names]) for _, losses, _, _ in self._pending])
        means: Any = self._accelerator.reduce(table, reduction="mean")
        lines = [
            {"step": step, **dict(zip(names, values, strict=True)), "rate": rate, "seconds": round(seconds, 4)}
            for (step, _, rate, seconds), values in zip(self._pending, means.tolist(), strict=True)
        ]
        self._pending.clear()
        self._written = time.monotonic()
        if self._accelerator.is_main_process:
            curves.append(self._path, lines)
            self._on_step(lines[-1]["step"], lines[-1])


def _groups(network: nn.Module, config: PartConfig) -> list[dict[str, Any]]:
    """Return the learned parameters by learning rate, those of `rate` first.

    Raises:
        SettingsError: `rates` names a network without learned parameters.
    """
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in ("", *config.rates)}
    known = dict[str, None]()
    for name, value in network.named_parameters():
        if value.requires_grad:
            part = name.partition(".")[0]
            known[part] = None
            groups[part if part in groups else ""].append(value)
    if unknown := [name for name in config.rates if name not in known]:
        raise SettingsError(f"{config.part}.rates: {', '.join(unknown)} is not trained; use one of {', '.join(known)}")
    return [{"params": values, "multiple": config.rates.get(name, 1.0)} for name, values in groups.items() if values]


def _schedule(optimizer: torch.optim.Optimizer, config: PartConfig, done: int) -> LRScheduler:
    """Linear warm-up, then cosine annealing, from step `done` on.

    It follows from the settings and is not read from the checkpoint, because the number of steps may have changed.
    """

    def share(step: int) -> float:
        if step < config.warmup:
            return (step + 1) / config.warmup
        progress = (step - config.warmup) / max(1, config.steps - config.warmup)
        return config.rate_end + (1 - config.rate_end) * (1 + math.cos(math.pi * progress)) / 2

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = config.rate * group.get("multiple", 1.0)
    return LambdaLR(optimizer, share, last_epoch=done - 1)


def _agree(accelerator: Accelerator, stop: bool, pace: float) -> tuple[bool, float]:
    """Return whether any worker stops, and the workers' mean pace: the same for all of them."""
    if accelerator.num_processes == 1:
        return stop, pace
    total: Any = accelerator.reduce(torch.tensor([float(stop), pace], device=accelerator.device), reduction="sum")
    return bool(total[0] > 0), float(total[1]) / accelerator.num_processes


def _save(
    folder: Path, step: int, network: nn.Module, optimizer: torch.optim.Optimizer, average: EMAModel | None
) -> None:
    """Save a checkpoint of the trainable weights and the optimizer. All other state follows from the step's number."""
    frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
    state = {
        "network": {name: value for name, value in network.state_dict().items() if name not in frozen},
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict() if average is not None else None,
    }
    path = folder / f"step-{step:08}.pt"
    with replacing(path, sole_writer=True) as written:
        torch.save(state, written)
    for old in _checkpoints(folder)[:-CHECKPOINTS_KEPT]:
        old.unlink()


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))


def _resume(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: EMAModel | None,
    device: torch.device,
) -> int:
    """Load the newest readable checkpoint and return its number of steps."""
    for path in reversed(_checkpoints(folder)):
        try:
            state = torch.load(path, map_location=device, weights_only=True)
        except Exception:  # a damaged file; torch raises many types
            path.unlink()
            continue
        network.load_state_dict(state["network"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
        return int(path.stem.removeprefix("step-"))
    return 0


def _finish(objective: Objective, network: nn.Module, config: PartConfig, weights: Path, folder: Path) -> None:
    lines = curves.read(folder / CURVE)
    with torch.inference_mode():
        measured = objective.measure(network)
        objective.write(network, weights)
    last = lines[-max(1, len(lines) // 20) :]
    names = [name for name in lines[-1] if name not in ("step", "rate", "seconds")]
    found = {
        "recipe": config.as_dict(),
        "seconds": round(sum(line["seconds"] for line in lines), 1),
        "losses": {name: sum(line[name] for line in last) / len(last) for name in names},
        "measured": measured,
    }
    with replacing(folder / RESULT, sole_writer=True) as written:
        written.write_text(json.dumps(found, indent=2) + "\n")
