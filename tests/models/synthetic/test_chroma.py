"""The reserved colours stay distinguishable, lit or shaded."""

from __future__ import annotations

import pytest

from models.miniature import Identity
from models.synthetic.chroma import (
    INK,
    INK_GOLD,
    INK_WARM,
    MOUTH_WARM,
    SKIN_COLOUR,
    SKIN_GOLD,
    TEETH,
    TONGUE,
    WHITE,
    WINE,
    flushed,
)
from models.synthetic.paint import darker
from models.synthetic.person import Colour

PEOPLE = [Identity.from_seed(seed) for seed in range(300)]
SHADES = (1.0, 0.885, 0.75)


def chroma(colour: Colour) -> tuple[float, float]:
    """Return warm and gold."""
    red, green, blue = colour
    return (red - green) / sum(colour), (green - blue) / sum(colour)


def is_skin(colour: Colour, margin: float = 0.0) -> bool:
    warm, gold = chroma(colour)

    def within(value: float, bounds: tuple[float, float]) -> bool:
        return bounds[0] * (1 + margin) < value < bounds[1] * (1 - margin)

    return within(gold / max(warm, 1e-9), SKIN_GOLD) and within(warm + gold, SKIN_COLOUR)


def is_mouth(colour: Colour) -> bool:
    warm, gold = chroma(colour)
    return warm - 2.5 * max(gold, 0) > MOUTH_WARM


@pytest.mark.parametrize("shade", SHADES)
def test_skin_is_in_its_range(shade: float) -> None:
    assert all(is_skin(darker(person.skin, shade), margin=0.04) for person in PEOPLE)


@pytest.mark.parametrize("shade", SHADES)
def test_no_other_colour_is_in_the_range_of_skin(shade: float) -> None:
    for person in PEOPLE:
        others = (
            person.hair_colour, person.cloth, person.trim, person.wall, person.accent, person.lips, person.eyes,
            person.glasses_colour, flushed(person.skin),
        )  # fmt: skip
        for colour in (*others, WHITE, TEETH, INK, WINE, TONGUE):
            assert not is_skin(darker(colour, shade)), (colour, shade)


def test_mouths_are_distinguished_from_faces() -> None:
    for person in PEOPLE:
        assert all(is_mouth(colour) for colour in (person.lips, darker(person.lips, 0.86), WINE, TONGUE))
        assert not any(is_mouth(colour) for colour in (person.skin, flushed(person.skin), person.hair_colour, WHITE))


def test_only_eyes_have_ink() -> None:
    def is_ink(colour: Colour) -> bool:
        warm, gold = chroma(colour)
        return warm > INK_WARM and gold < INK_GOLD and sum(colour) < 300

    assert is_ink(INK)
    for person in PEOPLE:
        worn = (person.hair_colour, person.cloth, person.trim, person.wall, person.glasses_colour, person.lips)
        assert not any(is_ink(colour) for colour in (*worn, person.skin, flushed(person.skin), WINE))
