"""The colours of the miniature world that mean something, and the bounds that tell them apart.

Chroma is measured without brightness: `warm` = (R - G) / (R + G + B) and `gold` = (G - B) / (R + G + B), so that shade
leaves it alone. Lit skin keeps to a band of it that nothing else uses: hair and walls are more golden, lips and shaded
skin more rosy. Eyes and lashes are drawn with the only dark purple.
"""

from __future__ import annotations

from models.synthetic.person import Colour

__all__ = [
    "INK", "INK_BRIGHTEST", "INK_GOLD", "INK_WARM", "MOUTH_WARM", "SKIN_COLOUR", "SKIN_DARKEST", "SKIN_GOLD", "TEETH",
    "TONGUE", "WHITE", "WINE", "flushed",
]  # fmt: skip

WHITE: Colour = (250, 248, 246)
TEETH: Colour = (248, 246, 240)
INK: Colour = (66, 22, 92)
WINE: Colour = (104, 30, 28)
TONGUE: Colour = (206, 92, 104)

SKIN_GOLD = (0.42, 0.86)
"""Lit skin: the least and the most gold, as a share of its warmth."""
SKIN_COLOUR = (0.09, 0.32)
"""Lit skin: the least and the most of warm + gold."""
SKIN_DARKEST = 70.0
"""Lit skin: the least R + G + B."""
MOUTH_WARM = 0.10
"""Lips, tongue and the inside of the mouth: the least of warm - 2.5 gold, gold counting from 0."""
INK_GOLD = -0.05
"""Eyes and lashes: the most gold."""
INK_WARM = -0.03
"""Eyes and lashes: the least warmth."""
INK_BRIGHTEST = 300.0
"""Eyes and lashes: the most R + G + B."""


def flushed(skin: Colour) -> Colour:
    """Skin in its own shade, rosier: neck, ears, creases."""
    return round(skin[0] * 0.86), round(skin[1] * 0.70), round(skin[2] * 0.73)
