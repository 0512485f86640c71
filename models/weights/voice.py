"""The voice of a weights directory: its file, and the expression encoder that it belongs to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file

from models.voice.network import VoiceConfig, VoiceNetwork
from models.weights.optional_part import OptionalPart, fingerprint
from troupe.errors import WeightsError

__all__ = ["expression_fingerprint", "load_voice", "require_voice", "save_voice", "voice_file", "voice_problem"]

VOICE = OptionalPart("voice", "voice", "troupe voice 1", "lips by sound need", "lips driving")


def voice_file(directory: Path) -> Path:
    """Return the path of the voice, an optional file of a weights directory."""
    return VOICE.file(directory)


def expression_fingerprint(directory: Path) -> str:
    """Return a hash of the expression encoder's values, whatever the format of its file.

    Raises:
        WeightsError: its file is missing or unreadable.
    """
    return fingerprint(directory, "expression")


def save_voice(directory: Path, voice: VoiceNetwork) -> None:
    """Write the voice into a weights directory, for the expression encoder that is there.

    Raises:
        WeightsError: there is none.
    """
    about = {"expression": expression_fingerprint(directory), "config": asdict(voice.config)}
    tensors = {name: value.detach().cpu().float().contiguous() for name, value in voice.state_dict().items()}
    # The file then holds the orthonormal directions themselves.
    tensors["directions"] = voice.subspace.detach().cpu().contiguous()
    VOICE.write(directory, tensors, about)


def require_voice(directory: Path) -> Path:
    """Return the file of the voice.

    Raises:
        WeightsError: the directory has none, or it is damaged or of another expression encoder.
    """
    return VOICE.require(directory, voice_problem)


def voice_problem(directory: Path) -> str:
    """Return why the voice in a directory cannot be used; empty if it can."""
    try:
        about = VOICE.read_about(directory)
    except WeightsError as error:
        return error.message
    if about["expression"] != expression_fingerprint(directory):
        return f"belongs to another expression encoder; {VOICE.how_to_get} for this one"
    return ""


def load_voice(directory: Path) -> VoiceNetwork:
    """Load the voice, in float32, on the CPU.

    Raises:
        WeightsError: as `require_voice`.
    """
    path = require_voice(directory)
    config = VOICE.read_about(directory)["config"]
    voice = VoiceNetwork(VoiceConfig(**config | {"dilations": tuple(config["dilations"])}))
    try:
        voice.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its configuration: {error}") from error
    return voice.requires_grad_(False).eval()
