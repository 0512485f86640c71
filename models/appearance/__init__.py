"""Appearance of a portrait: identity vector, vision transformer with identity adapters, projector."""

from models.appearance.adapter import IdentityAdapter
from models.appearance.appearance import Appearance
from models.appearance.identity import IdentityEncoder
from models.appearance.projector import AppearanceProjector
from models.appearance.transformer import VisionTransformer, transformer_input

__all__ = [
    "Appearance",
    "AppearanceProjector",
    "IdentityAdapter",
    "IdentityEncoder",
    "VisionTransformer",
    "transformer_input",
]
