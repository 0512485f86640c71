"""Clips of the voice, drawn and users' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.animator import load
from models.miniature.init_weights import init_weights
from models.training.voice.clip_file import VoiceClipFile
from models.voice.log_mel import spectra_of
from tasks import media
from tasks.media import AudioSource, find_audio
from tasks.media.sound import mono_blocks
from tasks.train.clip_kinds import VOICE_CLIPS, Scene
from tasks.train.config import ClipsConfig
from tests.flows.cast import write_clip
from tests.small import QUICK
from troupe.errors import InputError
from troupe.faces import Track


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("training") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


def test_a_scene_has_the_sound_of_its_frames(weights: Path, tmp_path: Path) -> None:
    animator, clips = load(weights, "cpu", "float32"), ClipsConfig("clips.csv")
    for name, voiced in (("talk", True), ("mute", False)):
        write_clip(tmp_path / f"{name}.mp4", frames=20, rate="25", voiced=voiced)
    boxes = torch.tensor([[60.0, 60.0, 130.0, 130.0]]).repeat(12, 1).numpy()
    points = torch.tensor([[[80.0, 85], [110, 85], [95, 100], [85, 115], [105, 115]]]).repeat(12, 1, 1).numpy()
    track = Track(boxes, points, torch.ones(12).numpy())

    def scene(name: str) -> Scene:
        frames = list(media.decode(tmp_path / f"{name}.mp4"))[5:17]
        return Scene(tmp_path / f"{name}.mp4", 0.0, None, 5, frames, track)

    VOICE_CLIPS.write_scene(animator, clips, scene("talk"), tmp_path / "scene")
    clip = VoiceClipFile(tmp_path / "scene")
    assert clip.times.tolist() == pytest.approx([number / 25 for number in range(12)])
    sound = find_audio(AudioSource(tmp_path / "talk.mp4"))
    assert sound is not None
    whole = torch.cat(list(spectra_of(mono_blocks(sound, 0.8))))
    spoken = clip.spoken(0)
    assert torch.allclose(spoken.spectra, whole[20:66], atol=0.01)
    assert torch.allclose(spoken.target, clip.driver(), atol=0.01)
    with pytest.raises(InputError, match="has no sound"):
        VOICE_CLIPS.write_scene(animator, clips, scene("mute"), tmp_path / "none")
