"""The animator: encodes portraits and driving clips, and renders one with the motion of the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from models.appearance import Appearance, IdentityEncoder, transformer_input
from models.autoencoder import decode_stream, encode_portrait
from models.config import ModelConfig
from models.denoiser import Context, Denoiser
from models.faces import Portrait, clip_crops, fill_gaps, reference_boxes, stabilise_keypoints
from models.motion import Motion, intensities, motion_tokens
from models.picture import unit
from models.runtime.compile import compile_blocks
from models.runtime.device import Budget, memory_budget, pick_device, pick_dtype, translate_oom
from models.runtime.offload import on_device
from models.runtime.turns import Turns
from models.sampler.sample import Sampled, Scene, draw_noise, fitting_windows, pad_motion, sample, window_bytes
from models.weights import Networks, load_distilled, load_networks, recogniser_file
from troupe import Picture, SamplerSettings, Track
from troupe.faces import Floats
from troupe.stopwatch import Stopwatch

__all__ = ["Animator", "load"]

MOTION_BATCH = 16
"""Driving frames per batch of the motion encoders and the refiner; bounds memory, does not change results."""


class Animator:
    """A loaded model. Threads may share it: one at a time computes, and a clip is denoised while others are decoded.

    Attributes:
        config: configuration from the weights directory.
        device: device that the networks run on.
        dtype: dtype in which the denoiser and the decoder compute.
        evaluations: number of frames that went through the denoiser so far, counted once per branch and step.

    Example:
        >>> animator = load(Path("weights"))
        >>> appearance = animator.encode_appearance(portrait)
        >>> motion = animator.encode_motion(frames, track)
        >>> for frame in animator.animate(appearance, motion, SamplerSettings()):
        ...     ...
    """

    def __init__(
        self,
        config: ModelConfig,
        networks: Networks,
        identity: IdentityEncoder,
        device: torch.device,
        budget: Budget,
        load_distilled: Callable[[Denoiser], Denoiser],
    ) -> None:
        self.config = config
        self.dtype = networks.denoiser.dtype
        self.device = device
        self.budget = budget
        self.evaluations = 0
        self._networks = networks
        self._identity = identity
        self._turns = Turns()
        self._load_distilled = load_distilled
        self._distilled: Denoiser | None = None
        # A portrait's keys and values live as long as its appearance is referenced.
        self._contexts = defaultdict[Denoiser, WeakKeyDictionary[Appearance, Context]](WeakKeyDictionary)
        with torch.inference_mode(), on_device(device, networks.pose_guider):
            black = torch.zeros(1, 3, config.image_size, config.image_size, device=device, dtype=self.dtype)
            self._pose: Tensor = networks.pose_guider(black)[0]

    @property
    def device_name(self) -> str:
        """`cpu`, or the name of the GPU."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    @property
    def peak_gpu_bytes(self) -> int | None:
        """Peak GPU memory allocated in this process, in bytes; None on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def shrink(self) -> bool:
        """Reduce memory use from now on, with the same results; return False if nothing is left to give up.

        Called after the device ran out of memory: first fewer windows per call, then no stored keys and values, finally
        offloading of networks that are not in use.
        """
        with self._turns.long():
            shrunk = self.budget.shrunk(window_bytes(self.config, self.dtype))
            if shrunk is None or self.device.type == "cpu":
                return False
            if shrunk.offload and not self.budget.offload:
                for network in (*self._networks.all, *filter(None, [self._distilled])):
                    network.to("cpu")
            self.budget = shrunk
            torch.cuda.empty_cache()
            return True

    @torch.inference_mode()
    def encode_appearance(self, portrait: Portrait) -> Appearance:
        """Encode a portrait, once for all its clips (section 3.1 of the paper).

        Args:
            portrait: head crop in the model's image size, and aligned face.
        """
        networks = self._networks
        with (
            self._turns.short(),
            translate_oom(),
            on_device(self.device, networks.transformer, networks.projector),
        ):
            crop = unit(portrait.crop, self.device)
            identity = self._identity(portrait.aligned).to(self.device)
            seen = transformer_input(crop, self.config.appearance.input_size)
            tokens = networks.projector(networks.transformer(seen[None], identity))[0].float().cpu()
        return Appearance(tokens=tokens, latents=self.encode_crop(portrait.crop))

    @torch.inference_mode()
    def encode_crop(self, crop: Picture) -> Tensor:
        """Encode a head crop with the autoencoder.

        Args:
            crop: (S, S, 3) in the model's image size.

        Returns:
            (4, h, w) float32 on the CPU, the mean, unscaled.
        """
        with self._turns.short(), translate_oom(), on_device(self.device, self._networks.vae):
            picture = unit(crop, self.device)
            return encode_portrait(self._networks.vae, (picture - 0.5) / 0.5).cpu()

    def identify(self, aligned: Floats) -> Tensor:
        """Return the identity vector of a face, for comparisons.

        Args:
            aligned: (112, 112, 3) float32 in [0, 1], as `models.faces.align_face` returns it.

        Returns:
            (1, N) float32, of unit norm.
        """
        return self._identity(aligned)

    @torch.inference_mode()
    def encode_motion(self, frames: Iterable[Picture], track: Track, crop: str = "first") -> Motion:
        """Encode the motion of a clip, with a few frames in memory at a time (section 3.2 of the paper).

        Where the face was not detected, its motion is interpolated as `models.faces.gaps.fill_gaps` says.

        Args:
            frames: (H, W, 3) each, as many as the track has.
            track: track of the face.
            crop: framing of the crops, one of `troupe.job.CROPS`.

        Raises:
            InputError: clip and track differ in length, or a face is outside its frame.
            SettingsError: invalid `crop`.
        """
        expressions: list[Tensor] = []
        rotations: list[Tensor] = []
        networks = self._networks
        framing = reference_boxes(track, crop)
        crops = clip_crops(frames, track, self.config.image_size, self.config.face_size, framing)
        while batch := list(islice(crops, MOTION_BATCH)):
            with (
                self._turns.short(),
                translate_oom(),
                on_device(self.device, networks.expression, networks.headpose),
            ):
                face = torch.stack([unit(crop.face, self.device) for crop in batch])
                head = torch.stack([unit(crop.head, self.device) for crop in batch])
                expressions.append(networks.expression(face).float().cpu())
                rotations.append(networks.headpose(head)[0].float().cpu())
        return Motion(
            expression=_fill_gaps(torch.cat(expressions), track),
            rotation=_fill_gaps(torch.cat(rotations), track),
            intensity=torch.from_numpy(intensities(stabilise_keypoints(track, framing), self.config.window)),
        )

    def animate(
        self,
        appearance: Appearance,
        motion: Motion,
        settings: SamplerSettings | None = None,
        watch: Stopwatch | None = None,
        on_progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Generator[Picture, None, None]:
        """Animate the portrait with the motion; frames are yielded as soon as they are decoded.

        Args:
            appearance, motion: encoded by this model.
            settings: sampler settings; the release's by default.
            watch: measures the seconds of `denoise` and `vae`, and in between those of `queue`, when others compute.
            on_progress: called with (frame evaluations done, total); may raise to stop.

        Yields:
            (S, S, 3) uint8 frames, as many as the motion has.

        Raises:
            SettingsError: the settings do not fit the model's window.
            OutOfMemory: the device ran out of memory.
        """
        settings = settings or SamplerSettings()
        watch = watch or Stopwatch()
        networks = self._networks

        def on_call(done: int, total: int) -> None:
            on_progress(done, total)
            if self._turns.wanted and not self.budget.offload:
                with watch("queue"):
                    self._turns.give_way()

        with ExitStack() as turn:
            turn.enter_context(self._turns.long())
            with watch("denoise"), translate_oom():
                latents = self._denoise(appearance, motion, settings, on_call)
            if not self.budget.offload:
                turn.close()  # else there is no memory for two clips
            chunks = self._decode(latents, settings)
            while True:
                with self._turns.short(), watch("vae"), translate_oom(), on_device(self.device, networks.vae):
                    frames = next(chunks, None)
                if frames is None:
                    return
                yield from frames

    @torch.inference_mode()
    def motion_tokens(self, motion: Motion, padding: int) -> Tensor:
        """Return the motion tokens of every frame, (padding + F + padding, M, D), faded in and out."""
        with on_device(self.device, self._networks.refiner):
            tokens = motion_tokens(self._refine(motion), motion.rotation.to(self.device))
        return pad_motion(tokens, padding)

    @torch.inference_mode()
    def sample(
        self,
        appearance: Appearance,
        tokens: Tensor,
        settings: SamplerSettings,
        on_progress: Callable[[int, int], None] = lambda *_: None,
        on_step: Callable[[int, Tensor], None] = lambda *_: None,
    ) -> Sampled:
        """Sample the latents of a clip.

        Args:
            appearance: encoded by this model.
            tokens: (F, M, D) of `motion_tokens`.
            on_progress, on_step: see `models.sampler.sample`.
        """
        denoiser = self._denoiser(settings)
        contexts = self._contexts[denoiser]
        context = contexts.get(appearance)
        with on_device(self.device, denoiser):
            if context is None:
                context = contexts[appearance] = denoiser.project_appearance(appearance.tokens.to(self.device))
            scene = Scene(
                appearance=context,
                motion=denoiser.project_motion(tokens.to(self.device), self.budget.motion),
                portrait=appearance.latents.to(self.device),
                pose=self._pose,
            )
            sampled = sample(
                denoiser,
                scene,
                draw_noise(settings.seed, len(tokens), self.config),
                settings,
                self.config,
                fitting_windows(self.config, self.dtype, self.budget.activations),
                on_progress,
                on_step,
            )
        self.evaluations += sampled.evaluations
        return sampled

    def _denoise(
        self, appearance: Appearance, motion: Motion, settings: SamplerSettings, on_progress: Callable[[int, int], None]
    ) -> Tensor:
        """Sample the latents, (F, 4, h, w), padding included."""
        tokens = self.motion_tokens(motion, settings.padding)
        return self.sample(appearance, tokens, settings, on_progress).latents

    def _denoiser(self, settings: SamplerSettings) -> Denoiser:
        """Return the network that the settings need; the distilled one is loaded when it is first used."""
        if not settings.distilled:
            return self._networks.denoiser
        if self._distilled is None:
            self._distilled = self._load_distilled(self._networks.denoiser)
        return self._distilled

    def _decode(self, latents: Tensor, settings: SamplerSettings) -> Iterator[Picture]:
        """Yield the frames, (n, S, S, 3) uint8, without padding, a chunk at a time."""
        for frames in decode_stream(self._networks.vae, latents, settings.decode_chunk, settings.padding):
            yield (frames * 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def _refine(self, motion: Motion) -> Tensor:
        """Return the refined motion tokens of every frame, without pose; frames are refined independently."""
        features = torch.split(motion.expression.to(self.device), MOTION_BATCH)
        intensity = torch.split(motion.frame_intensity(self.config.window).to(self.device), MOTION_BATCH)
        return torch.cat([self._networks.refiner(*batch) for batch in zip(features, intensity, strict=True)])


def load(
    directory: Path | str,
    device: str = "auto",
    dtype: str = "auto",
    *,
    compile: bool = False,
    gpu_memory: float | None = None,
) -> Animator:
    """Load the model of a weights directory.

    Args:
        directory: weights directory; see `models.weights`.
        device: `cpu`, `cuda`, `cuda:N`; `auto` selects a GPU if there is one.
        dtype: dtype of the denoiser and the decoder: `float32`, `bfloat16`, `float16` or `auto`.
        compile: whether to compile the denoiser's blocks: the first clip takes longer, all others less.
        gpu_memory: GiB of the GPU that this process may use; None for all.

    Raises:
        WeightsError: a tensor or file is absent, extra or mis-shaped; all of them are reported together.
        SettingsError: the device does not exist or has less memory, or does not support the dtype.
    """
    place = pick_device(device)
    budget = memory_budget(place, gpu_memory)
    home = torch.device("cpu") if budget.offload else place
    with translate_oom():
        config, networks = load_networks(Path(directory), home, pick_dtype(dtype, place))
    if compile:
        compile_blocks(networks.denoiser)

    def distilled(denoiser: Denoiser) -> Denoiser:
        loaded = load_distilled(Path(directory), denoiser)
        if compile:
            compile_blocks(loaded)
        return loaded

    identity = IdentityEncoder(recogniser_file(Path(directory)), config.appearance.identity)
    return Animator(config, networks, identity, place, budget, distilled)


def _fill_gaps(values: Tensor, track: Track) -> Tensor:
    """Interpolate rows of (F, N) without a detected face; a track without any face is left as it is."""
    seen = track.scores > 0
    if seen.all() or not seen.any():
        return values
    return torch.from_numpy(fill_gaps(values.double().numpy(), seen, track.cuts)).float()
