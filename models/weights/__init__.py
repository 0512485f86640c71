"""A weights directory: its files, whether they fit, and how they get into the networks.

A directory has the layout of the release (`models.weight_files`). A network's tensors are stored in a `.pth` file or,
converted, in a `.safetensors` file beside it. The latter is preferred: it is mapped into memory, so that processes
share its pages.
"""

from models.face_files import detector_file, recogniser_file
from models.weight_files import PartName, model_files
from models.weights.checkpoint import convert, replace_values, same_tensors, source_hash
from models.weights.distilled import distilled_file, load_distilled, require_distilled, save_distilled
from models.weights.inspection import PartReport, absent_parts, inspect_weights, outdated_parts
from models.weights.loading import Networks, assign_tensors, load_networks, load_part
from models.weights.voice import load_voice, require_voice, save_voice, voice_file

__all__ = [
    "Networks",
    "PartName",
    "PartReport",
    "absent_parts",
    "assign_tensors",
    "convert",
    "detector_file",
    "distilled_file",
    "inspect_weights",
    "load_distilled",
    "load_networks",
    "load_part",
    "load_voice",
    "model_files",
    "outdated_parts",
    "recogniser_file",
    "replace_values",
    "require_distilled",
    "require_voice",
    "same_tensors",
    "save_distilled",
    "save_voice",
    "source_hash",
    "voice_file",
]
