"""Identities of the synthetic world: everything about a person that does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np

__all__ = ["Backdrop", "Beard", "Colour", "Garment", "Glasses", "Hair", "Identity"]

T = TypeVar("T")

Colour: TypeAlias = tuple[int, int, int]
"""RGB, 0..255."""
Hair: TypeAlias = Literal[
    "bald", "buzz", "short", "quiff", "spiky", "curly", "afro",
    "bob", "long", "wavy", "bun", "ponytail", "scarf", "beanie",
]  # fmt: skip
Beard: TypeAlias = Literal["none", "stubble", "moustache", "goatee", "full"]
Glasses: TypeAlias = Literal["none", "round", "square"]
Garment: TypeAlias = Literal["crew", "collar", "turtleneck", "vneck", "hoodie"]
Backdrop: TypeAlias = Literal["plain", "disc", "hills", "stripes", "dots"]

# Only skin has chroma in the range that `chroma.py` reserves for it; all other colours are outside.
_SKIN: tuple[Colour, ...] = (
    (247, 206, 178),
    (238, 188, 154),
    (224, 168, 130),
    (198, 140, 104),
    (164, 110, 79),
    (130, 84, 58),
    (98, 62, 43),
)
_HAIR: tuple[Colour, ...] = (
    (38, 35, 34),
    (58, 42, 22),
    (92, 68, 34),
    (140, 108, 58),
    (114, 58, 32),
    (186, 84, 36),
    (226, 188, 110),
    (238, 214, 154),
    (150, 150, 152),
    (224, 222, 216),
    (64, 140, 132),
)
_CLOTH: tuple[Colour, ...] = (
    (44, 62, 96),
    (232, 232, 228),
    (58, 64, 72),
    (190, 84, 42),
    (226, 178, 64),
    (72, 122, 104),
    (96, 150, 196),
    (186, 172, 214),
    (128, 140, 92),
    (40, 108, 118),
)
_EYES: tuple[Colour, ...] = ((84, 58, 28), (126, 92, 36), (88, 122, 70), (82, 132, 178), (110, 128, 138))
_LIPS: tuple[Colour, ...] = ((188, 86, 92), (172, 74, 82), (204, 98, 104), (156, 62, 72))
_BACKDROPS: tuple[tuple[Colour, Colour], ...] = (
    ((122, 182, 178), (158, 206, 198)),
    ((240, 206, 110), (246, 222, 150)),
    ((178, 170, 216), (202, 196, 232)),
    ((146, 190, 222), (184, 214, 236)),
    ((168, 204, 172), (198, 222, 196)),
    ((58, 78, 112), (78, 102, 140)),
    ((236, 190, 204), (244, 212, 220)),
    ((240, 236, 222), (224, 226, 208)),
    ((74, 112, 104), (98, 140, 128)),
    ((132, 140, 150), (160, 168, 176)),
)
_GLASSES: tuple[Colour, ...] = ((36, 36, 38), (96, 74, 30), (60, 110, 120), (176, 150, 80))

_FORMS: tuple[Hair, ...] = (
    "bald", "buzz", "short", "short", "quiff", "spiky", "curly", "afro",
    "bob", "bob", "long", "long", "wavy", "wavy", "bun", "ponytail", "scarf", "beanie",
)  # fmt: skip
_BEARDED: frozenset[Hair] = frozenset({"bald", "buzz", "short", "quiff", "spiky", "curly", "afro", "beanie"})
_BEARDS: tuple[Beard, ...] = ("none", "none", "none", "stubble", "moustache", "goatee", "full")
_GARMENTS: tuple[Garment, ...] = ("crew", "collar", "turtleneck", "vneck", "hoodie")
_DRAWN: tuple[Backdrop, ...] = ("plain", "disc", "disc", "hills", "stripes", "dots")


@dataclass(frozen=True)
class Identity:
    """A person of the synthetic world, with clothes, voice and backdrop.

    Lengths are in head units (half the width of an average face) or factors about 1.

    Attributes:
        skin, lips: colours of the face.
        blush: redness of the cheeks, 0..1.
        freckles: whether the cheeks have freckles.
        face_width, face_height: factors.
        jaw, chin: half-widths at the corner of the jaw and at the chin.
        eyes: colour of the eyes.
        eye_spacing: half the distance between the eyes.
        eye_size: factor.
        eye_tilt: height of the outer corner over the inner one.
        brow: thickness of the brows.
        brow_tilt: height of the outer end over the inner one.
        nose_length, nose_width, mouth_width, lip_fullness, ears: factors.
        hair, hair_colour: style and colour of the hair; a scarf or hat counts as hair.
        parting: side of the parting, -1 or 1.
        beard, glasses, glasses_colour, earrings: beard and accessories.
        garment: kind of clothes.
        cloth, trim: their two colours.
        backdrop: pattern behind the person.
        wall, accent: its two colours.
        voice: median pitch of the voice in Hz.
    """

    skin: Colour
    lips: Colour
    blush: float
    freckles: bool
    face_width: float
    face_height: float
    jaw: float
    chin: float
    eyes: Colour
    eye_spacing: float
    eye_size: float
    eye_tilt: float
    brow: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    ears: float
    hair: Hair
    hair_colour: Colour
    parting: int
    beard: Beard
    glasses: Glasses
    glasses_colour: Colour
    earrings: bool
    garment: Garment
    cloth: Colour
    trim: Colour
    backdrop: Backdrop
    wall: Colour
    accent: Colour
    voice: float

    @classmethod
    def from_seed(cls, seed: int) -> Identity:
        """Return the person of a seed, 0 or more."""
        rng = np.random.default_rng((seed, 0x1DE47))

        def pick(options: Sequence[T]) -> T:
            return options[int(rng.integers(len(options)))]

        def about(middle: float, spread: float) -> float:
            return float(middle + spread * rng.uniform(-1, 1))

        hair = pick(_FORMS)
        beard = pick(_BEARDS) if hair in _BEARDED else "none"
        soft = beard == "none" and (hair not in _BEARDED or rng.random() < 0.4)
        tone = rng.uniform(0, len(_SKIN) - 1)
        low = min(int(tone), len(_SKIN) - 2)
        cloth_index = int(rng.integers(len(_CLOTH)))
        # Scarves and hats have the colour of a cloth, but not that of the clothes.
        hat = _CLOTH[(cloth_index + int(rng.integers(1, len(_CLOTH)))) % len(_CLOTH)]
        wall, accent = pick(_BACKDROPS)
        hair_colour = pick(_HAIR)
        return cls(
            skin=_between(_SKIN[low], _SKIN[low + 1], tone - low),
            lips=pick(_LIPS),
            blush=about(0.6, 0.4),
            freckles=bool(rng.random() < 0.15),
            face_width=about(1.0, 0.08),
            face_height=about(1.0, 0.08),
            jaw=about(0.74, 0.06) if soft else about(0.82, 0.07),
            chin=about(0.40, 0.06) if soft else about(0.48, 0.08),
            eyes=pick(_EYES),
            eye_spacing=about(0.44, 0.035),
            eye_size=about(1.06 if soft else 0.96, 0.1),
            eye_tilt=about(0.02, 0.03),
            brow=about(0.062 if soft else 0.092, 0.02),
            brow_tilt=about(-0.01, 0.04),
            nose_length=about(1.0, 0.12),
            nose_width=about(1.0, 0.22),
            mouth_width=about(1.0, 0.12),
            lip_fullness=about(1.14 if soft else 0.92, 0.2),
            ears=about(1.0, 0.18),
            hair=hair,
            hair_colour=hat if hair in ("scarf", "beanie") else hair_colour,
            parting=pick((-1, 1)),
            beard=beard,
            glasses=pick(("none", "none", "none", "round", "square")),
            glasses_colour=pick(_GLASSES),
            earrings=bool(soft and rng.random() < 0.4),
            garment=pick(_GARMENTS),
            cloth=_CLOTH[cloth_index],
            trim=_CLOTH[(cloth_index + int(rng.integers(1, len(_CLOTH)))) % len(_CLOTH)],
            backdrop=pick(_DRAWN),
            wall=wall,
            accent=accent,
            voice=about(205.0, 30.0) if soft else about(120.0, 22.0),
        )


def _between(a: Colour, b: Colour, share: float) -> Colour:
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )
