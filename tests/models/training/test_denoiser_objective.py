"""The denoiser's examples and losses, and that training and sampling agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.animator import load
from models.faces import head_box, open_detector, track_face
from models.miniature import FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS
from models.miniature.init_weights import init_weights
from models.motion.intensity import intensities
from models.sampler.schedule import euler_step
from models.training.clip_file import ClipFile, encode_clip
from models.training.denoiser_objective import AdapterObjective, Animation, DenoiserObjective
from models.training.synthetic_clips import synthetic_clip
from models.weights import detector_file, load_networks
from tests.small import SMALL
from troupe import LARGEST
from troupe.errors import SettingsError

FRAMES = 27


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("training") / "weights"
    init_weights(directory, 0, SMALL)
    return directory


@pytest.fixture(scope="module")
def clips(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in one performance, and a held-out clip."""
    folder = tmp_path_factory.mktemp("clips")
    animator = load(weights, "cpu", "float32")
    for name, number, held_out in (("learning", 0, False), ("learning", 1, False), ("measuring", 0, True)):
        (folder / name).mkdir(exist_ok=True)
        clip = synthetic_clip(number, FRAMES, 2, held_out=held_out)
        encode_clip(animator, clip.frames, clip.track, 3, folder / name / f"{number:06}.safetensors")
    return folder


def batch_of(objective: DenoiserObjective, *seeds: int) -> dict[str, Tensor]:
    examples = [objective.example(np.random.default_rng(seed)) for seed in seeds]
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


def test_equal_numbers_give_equal_clips() -> None:
    one, again = synthetic_clip(5, 3, 2), synthetic_clip(5, 3, 2)
    assert all((a == b).all() for a, b in zip(one.frames, again.frames, strict=True))
    assert (one.track.boxes == again.track.boxes).all()
    other = synthetic_clip(4, 3, 2)
    assert one.frames[0].shape != other.frames[0].shape or (one.frames[0] != other.frames[0]).any()


def test_intensities_agree_with_those_of_a_detected_track() -> None:
    """A render's intensities come from keypoints that a detector finds."""
    detector, more = open_detector(detector_file(SHIPPED_WEIGHTS), "cpu"), []
    for number in range(0, 24, 2):
        clip = synthetic_clip(number, 12, 2)
        found = track_face(clip.frames, detector, LARGEST, f"clip {number}")
        more.append(intensities(clip.track.keypoints, 12)[0] - intensities(found.keypoints, 12)[0])
    assert (np.abs(np.median(more, axis=0)) <= 4).all()  # of 127, head and expression


def test_held_out_clips_differ() -> None:
    assert FIRST_HELD_OUT_SEED == 1_000_000
    shape = synthetic_clip(0, 1, 1, held_out=True).frames[0].shape
    assert shape != synthetic_clip(0, 1, 1).frames[0].shape


def test_a_prepared_clip_holds_what_the_animator_encodes(weights: Path, clips: Path) -> None:
    animator = load(weights, "cpu", "float32")
    clip = synthetic_clip(1, FRAMES, 2)
    motion = animator.encode_motion(clip.frames, clip.track)
    file = ClipFile(clips / "learning" / "000001.safetensors", window=25)
    assert (file.frames, file.portrait_frames) == (FRAMES, 3)
    moments = file.read_window(20, 6)
    assert torch.equal(moments.expression, motion.expression[20:26])
    assert torch.equal(moments.rotation, motion.rotation[20:26])
    # Frame 25 is in the next chunk.
    assert torch.equal(moments.intensity, motion.frame_intensity(25)[20:26])
    assert moments.latents.shape == (6, 4, 16, 16)
    last = file.read_portrait_frame(2)
    assert torch.equal(last.latents, file.read_window(FRAMES - 1, 1).latents[0])
    torch.testing.assert_close(
        animator.encode_crop((last.crop * 255).byte().permute(1, 2, 0).numpy()), last.latents, atol=2e-3, rtol=1e-3
    )
    assert float(last.identity.norm()) == pytest.approx(1, abs=1e-5)


def test_a_prepared_clip_knows_where_eyes_and_mouth_are(clips: Path) -> None:
    track = synthetic_clip(1, FRAMES, 2).track
    shown = ClipFile(clips / "learning" / "000001.safetensors", window=25).read_window(20, 1).features[0].numpy()
    assert shown.shape == (16, 16)
    assert shown.max() > 0.7
    assert shown.min() < 0.01
    left, top, right, bottom = head_box(track.boxes[0], *synthetic_clip(1, 1, 2).frames[0].shape[1::-1])
    eye_left, eye_right, nose, mouth_left, mouth_right = (
        (track.keypoints[20] - (left, top)) / (right - left, bottom - top) * 16
    )
    for point in (eye_left, eye_right, (mouth_left + mouth_right) / 2):
        column, row = point.astype(int)
        assert shown[row, column] > 0.6, point
    row = int(2 * eye_left[1] - nose[1])  # the forehead
    assert shown[row, int(nose[0])] < 0.3


def test_errors_on_eyes_and_mouth_count_more(weights: Path, clips: Path) -> None:
    plain, weighted = (DenoiserObjective(weights, clips, frames=2, emphasis=value) for value in (0.0, 3.0))
    batch = batch_of(plain, 1)

    class Wrong(torch.nn.Module):
        """Right but for one row of one frame."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

        def forward(self, given: dict[str, Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
            wide = sigma[:, None, None, None, None]
            clean = plain.config.vae.scaling_factor * given["latents"]
            v = ((clean + wide * given["noise"]) / (wide**2 + 1) - clean) * torch.sqrt(wide**2 + 1) / wide
            v[:, 0, :, self.row] += 1.0
            return v

    rows = batch["features"][0, 0].mean(1)
    most, least = int(rows.argmax()), int(rows.argmin())
    counted = [
        [float(objective.losses(Wrong(row), batch)["loss"]) for row in (most, least)] for objective in (plain, weighted)
    ]
    assert counted[0][0] == pytest.approx(counted[0][1], rel=1e-5)
    assert counted[1][0] > 1.5 * counted[1][1]
    total = float(batch["features"].mean())
    expected = (1 + 3 * float(rows[most])) / 32 / (1 + 3 * total)
    assert counted[1][0] == pytest.approx(expected, rel=1e-4)


def test_a_file_that_is_not_a_clip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(SettingsError, match="cannot be read as a prepared clip"):
        ClipFile(path, 25)


def test_an_example_depends_on_its_generator_alone(weights: Path, clips: Path) -> None:
    objective = DenoiserObjective(weights, clips, frames=5, cast=2)
    one, again, other = (objective.example(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["noise"], other["noise"])
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}


def test_conditions_are_dropped_at_the_configured_rates(weights: Path, clips: Path) -> None:
    objective = DenoiserObjective(weights, clips, frames=1, without_motion=0.2, without_both=0.3)
    kept = [tuple(objective.example(np.random.default_rng(seed))["kept"].tolist()) for seed in range(300)]
    shares = {kind: kept.count(kind) / len(kept) for kind in set(kept)}
    assert shares.keys() == {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)}
    assert shares[(0.0, 0.0)] == pytest.approx(0.3, abs=0.08)
    assert shares[(1.0, 0.0)] == pytest.approx(0.2, abs=0.08)


def test_another_person_may_drive(weights: Path, clips: Path) -> None:
    always = DenoiserObjective(weights, clips, frames=FRAMES, cast=2, cross=1.0)
    never = DenoiserObjective(weights, clips, frames=FRAMES, cast=2, cross=0.0)
    files = [ClipFile(path, 25).read_window(0, FRAMES) for path in sorted((clips / "learning").iterdir())]
    for objective, same in ((always, False), (never, True)):
        example = objective.example(np.random.default_rng(3))
        shown = next(n for n, file in enumerate(files) if torch.equal(file.latents, example["latents"]))
        assert torch.equal(files[shown].expression, example["expression"]) is same


@pytest.mark.parametrize("sigma", [0.05, 1.0, 40.0])
def test_v_is_defined_as_in_the_sampler(weights: Path, clips: Path, sigma: float) -> None:
    """One Euler step with the exact v removes all noise."""
    objective = DenoiserObjective(weights, clips, frames=2)
    batch = batch_of(objective, 1) | {"sigma": torch.tensor([[sigma]])}
    seen: list[Tensor] = []

    class Zero(torch.nn.Module):
        def forward(self, _: object, noisy: Tensor, sigma: Tensor) -> Tensor:
            seen.append(noisy)
            return torch.zeros_like(noisy)

    loss = objective.losses(Zero(), batch)["loss"]
    clean = objective.config.vae.scaling_factor * batch["latents"]
    noisy = seen[0]
    wanted = (noisy / (sigma**2 + 1) - clean) * (sigma**2 + 1) ** 0.5 / sigma
    assert float(loss) == pytest.approx(float(wanted.square().mean()), rel=1e-4)
    torch.testing.assert_close(euler_step(noisy, wanted, sigma, 0.0), clean, atol=2e-4, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("kept", [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_conditioning_is_that_of_the_sampler(weights: Path, clips: Path, kept: tuple[float, float]) -> None:
    """The three kinds of examples correspond to the sampler's three branches."""
    batch = batch_of(DenoiserObjective(weights, clips, frames=3), 4)
    batch["kept"] = torch.tensor([kept])
    noisy, sigma = torch.randn(1, 3, 4, 16, 16), torch.tensor([2.0])
    got = Animation(weights)(batch, noisy, sigma)

    from models.motion import motion_tokens

    _, networks = load_networks(weights, torch.device("cpu"), torch.float32)
    denoiser = networks.denoiser
    tokens = networks.projector(networks.transformer(batch["picture"], batch["identity"]))[0]
    refined = networks.refiner(batch["expression"][0], batch["intensity"][0])
    motion = denoiser.project_motion(motion_tokens(refined, batch["rotation"][0]), budget=2**30)
    contexts = [denoiser.project_appearance(tokens), motion.of(torch.arange(3)[None])][: int(sum(kept))]
    portrait = (batch["portrait"] * kept[0])[:, None].expand(-1, 3, -1, -1, -1)
    pose = networks.pose_guider(torch.zeros(1, 3, 128, 128))[0]
    known = torch.cat((noisy / 5**0.5, portrait), 2)
    want = denoiser(known, 0.25 * sigma.log(), torch.tensor([[12.5, 0.0, 0.0]]), pose, contexts)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_only_the_adapters_are_trained(weights: Path, clips: Path) -> None:
    """All that have an effect get a gradient, and no other weights do."""
    objective = AdapterObjective(weights, clips, frames=2, without_motion=0, without_both=0)
    network = objective.network()
    learned = {name for name, value in network.named_parameters() if value.requires_grad}
    assert any(".adapter." in name for name in learned)
    assert any("to_k_ip" in name for name in learned)
    assert any(name.startswith("motion_proj") for name in learned)
    assert not any(
        name.startswith("unet.conv_in") or ".attn1." in name or (".mlp." in name and "motion_proj" not in name)
        for name in learned
    )
    objective.losses(network, batch_of(objective, 1, 2))["loss"].backward()
    moved = {name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    assert moved <= learned
    # Attention to the single identity token does not depend on the query: these have no gradient, as model.md says.
    idle = {
        name for name in learned - moved if ".branch" not in name and "image_proj" not in name.partition("adapter")[2]
    }
    idle = {name for name in idle if "multihead_attn.in_proj" not in name and "position_" not in name}
    assert idle == set()


def test_checkpointing_gives_the_same_gradient(weights: Path, clips: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        objective = AdapterObjective(weights, clips, frames=2, checkpointing=checkpointing)
        network = objective.network()
        objective.losses(network, batch_of(objective, 1))["loss"].backward()
        gradients.append({name: value.grad for name, value in network.named_parameters() if value.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-6, rtol=1e-4)


def test_examples_longer_than_all_clips_are_refused(weights: Path, clips: Path) -> None:
    with pytest.raises(SettingsError, match="holds no prepared clip of 28 frames or more"):
        DenoiserObjective(weights, clips, frames=28).example(np.random.default_rng(0))


def test_training_on_single_images_skips_temporal_layers(weights: Path, clips: Path) -> None:
    """Afterwards, these have no effect on videos until they are trained."""
    objective = DenoiserObjective(weights, clips, frames=1)
    network = objective.network()
    assert isinstance(network, Animation)
    loss = objective.losses(network, batch_of(objective, 0, 1))["loss"]
    loss.backward()
    temporal = {name for name, value in network.unet.named_parameters() if "tempor" in name}
    learned = {name for name, value in network.unet.named_parameters() if value.grad is not None}
    assert temporal
    assert not temporal & learned

    consecutive = DenoiserObjective(weights, clips, frames=3)
    batch = batch_of(consecutive, 2, 3)
    noisy, sigma = batch["latents"] + batch["noise"], torch.ones(2)
    video = Animation(weights).eval()
    video.load_state_dict(network.state_dict())
    with torch.no_grad():
        whole = video(batch, noisy, sigma)
        for frame in range(3):
            one = {
                name: value[:, frame : frame + 1] if name in ("expression", "rotation", "intensity") else value
                for name, value in batch.items()
            }
            alone = network(one, noisy[:, frame : frame + 1], sigma)
            torch.testing.assert_close(whole[:, frame : frame + 1], alone, atol=1e-4, rtol=1e-4)


def test_fine_tuning_on_single_images_keeps_temporal_layers(weights: Path, clips: Path) -> None:
    before = dict(Animation(weights).named_parameters())
    after = dict(AdapterObjective(weights, clips, frames=1).network().named_parameters())
    assert all(torch.equal(before[name], value) for name, value in after.items())
