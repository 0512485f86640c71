"""The voice of a weights directory: its file, and the expression encoder that it belongs to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from models.tensorfile import write_safetensors
from models.voice.network import VoiceConfig, VoiceNetwork
from models.weights.checkpoint import iter_tensors
from models.weights.layout import existing_part_file, find_part
from troupe.errors import WeightsError
from troupe.files import replacing

__all__ = ["expression_fingerprint", "load_voice", "require_voice", "save_voice", "voice_file", "voice_problem"]

VERSION = "troupe voice 1"
HOW_TO_GET = "train one with `troupe train FILE --part voice` (docs/training.md)"


def voice_file(directory: Path) -> Path:
    """Return the path of the voice, an optional file of a weights directory."""
    return directory / "troupe" / "voice.safetensors"


def expression_fingerprint(directory: Path) -> str:
    """Return a hash of the expression encoder's values, whatever the format of its file.

    Raises:
        WeightsError: its file is missing or unreadable.
    """
    digest = hashlib.sha256()
    for name, value in sorted(iter_tensors(existing_part_file(directory, find_part("expression")))):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_voice(directory: Path, voice: VoiceNetwork) -> None:
    """Write the voice into a weights directory, for the expression encoder that is there.

    Raises:
        WeightsError: there is none.
    """
    path = voice_file(directory)
    path.parent.mkdir(exist_ok=True)
    about = {"version": VERSION, "expression": expression_fingerprint(directory), "config": asdict(voice.config)}
    tensors = {name: value.detach().cpu().float().contiguous() for name, value in voice.state_dict().items()}
    # The file then holds the orthonormal directions themselves.
    tensors["directions"] = voice.subspace.detach().cpu().contiguous()
    with replacing(path, sole_writer=True) as written:
        write_safetensors(written, tensors, {"troupe": json.dumps(about, sort_keys=True)})


def require_voice(directory: Path) -> Path:
    """Return the file of the voice.

    Raises:
        WeightsError: the directory has none, or it is damaged or of another expression encoder.
    """
    path = voice_file(directory)
    if not path.is_file():
        raise WeightsError(f"{directory} has no voice, which lips by sound need; {HOW_TO_GET}, or use lips driving")
    if problem := voice_problem(directory):
        raise WeightsError(f"{path}: {problem}")
    return path


def voice_problem(directory: Path) -> str:
    """Return why the voice in a directory cannot be used; empty if it can."""
    try:
        about = _about(voice_file(directory))
    except WeightsError as error:
        return error.message
    if about["expression"] != expression_fingerprint(directory):
        return f"belongs to another expression encoder; {HOW_TO_GET} for this one"
    return ""


def load_voice(directory: Path) -> VoiceNetwork:
    """Load the voice, in float32, on the CPU.

    Raises:
        WeightsError: as `require_voice`.
    """
    path = require_voice(directory)
    config = _about(path)["config"]
    voice = VoiceNetwork(VoiceConfig(**config | {"dilations": tuple(config["dilations"])}))
    try:
        voice.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its configuration: {error}") from error
    return voice.requires_grad_(False).eval()


def _about(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {}).get("troupe", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"cannot be read as a voice: {error}") from error
    if about.get("version") != VERSION:
        raise WeightsError(f"is {about.get('version', 'something else')}, not {VERSION}; {HOW_TO_GET}")
    return about
