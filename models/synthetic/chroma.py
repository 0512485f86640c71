"""Reserved colours of the synthetic world, and the chroma bounds that distinguish them.

Chroma does not depend on brightness, and so not on shading: `warm` = (R - G) / (R + G + B) and `gold` = (G - B) /
(R + G + B). Lit skin is in a range that nothing else uses: hair and walls are more golden, lips and shaded skin are
rosier. Eyes and lashes are the only things in dark purple.
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
"""Lit skin: range of gold / warm."""
SKIN_COLOUR = (0.09, 0.32)
"""Lit skin: range of warm + gold."""
SKIN_DARKEST = 70.0
"""Lit skin: minimum of R + G + B."""
MOUTH_WARM = 0.10
"""Lips, tongue and the inside of the mouth: minimum of warm - 2.5 max(gold, 0)."""
INK_GOLD = -0.05
"""Eyes and lashes: maximum of gold."""
INK_WARM = -0.03
"""Eyes and lashes: minimum of warm."""
INK_BRIGHTEST = 300.0
"""Eyes and lashes: maximum of R + G + B."""


def flushed(skin: Colour) -> Colour:
    """Return a darker, rosier tone of a skin colour, for neck, ears and creases."""
    return round(skin[0] * 0.86), round(skin[1] * 0.70), round(skin[2] * 0.73)
