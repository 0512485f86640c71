"""Colours of still images: conversion to sRGB by ICC profile, and notes on high dynamic range."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from troupe.faces import Picture

__all__ = ["colour_note", "conversion_profile", "has_gain_map", "hdr_note", "profile_to_srgb", "to_srgb"]

_HDR = (16, 18)
"""PQ and HLG, by their numbers in ITU-T H.273."""
_SAME_COLOUR = 2
"""Levels by which a profile may differ from sRGB without a conversion."""
_GAIN_MAPS = (b"hdrgm:Version", b"HDRGainMap")
"""Marks in the XMP data of pictures with a gain map, by Adobe and Google, and by Apple."""


def conversion_profile(image: Image.Image) -> bytes:
    """Return the ICC profile that an image is to be converted to sRGB from; empty for none, sRGB or a damaged one."""
    profile = bytes(image.info.get("icc_profile") or b"")
    return profile if profile and _profile_state(profile, _cms_mode(image))[0] == "other" else b""


def colour_note(image: Image.Image) -> str:
    """Return a note for the user about the conversion of an image's colours; empty if there was nothing to do."""
    profile = bytes(image.info.get("icc_profile") or b"")
    state, words = _profile_state(profile, _cms_mode(image)) if profile else ("srgb", "")
    if state == "damaged":
        return f"its colour profile was ignored ({words})"
    return f"its colours were converted from {words} to sRGB" if state == "other" else ""


def profile_to_srgb(picture: Picture, profile: bytes) -> Picture:
    """Convert an RGB picture from the colours of an ICC profile to sRGB."""
    return np.array(_transform(profile, "RGB").apply(Image.fromarray(picture)))


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image from the colours of an ICC profile to sRGB; transparency is lost."""
    mode = _cms_mode(image)
    return _transform(profile, mode).apply(image.convert(mode))


def hdr_note(image: Image.Image, path: Path) -> str:
    """Return a note for the user about the high dynamic range of an image; empty if it has none."""
    if _transfer(path) in _HDR:
        return "its HDR tones were not converted; convert it to standard range for the right colours"
    return "its HDR gain map was left out" if has_gain_map(image) else ""


def has_gain_map(image: Image.Image) -> bool:
    """Whether an image of standard range is followed by a map of gains for screens with a higher one."""
    return any(mark in bytes(image.info.get("xmp") or b"") for mark in _GAIN_MAPS)


def _transfer(path: Path) -> int:
    """Return the number of the transfer function that a PNG or AVIF states, by ITU-T H.273; 0 if it states none."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head.startswith(b"\x89PNG") and (chunk := head.find(b"cICP")) > 0:
        return head[chunk + 5]
    box = head.find(b"colrnclx")
    return int.from_bytes(head[box + 10 : box + 12], "big") if box > 0 and head[4:8] == b"ftyp" else 0


def _cms_mode(image: Image.Image) -> str:
    """Return the mode in which an image's samples match its profile; empty if ImageCms has none."""
    modes = {"RGBA": "RGB", "RGBX": "RGB", "P": "RGB", "LA": "L", "1": "L"}
    mode = modes.get(image.mode, image.mode)
    return mode if mode in ("RGB", "L", "CMYK", "LAB") else ""


@functools.lru_cache(maxsize=64)
def _profile_state(profile: bytes, mode: str) -> tuple[str, str]:
    """Return `srgb`, `other` with the profile's name, or `damaged` with the reason."""
    if not mode:
        return "damaged", "it is not supported for samples of this depth"
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
        if mode not in ("RGB", "L"):
            _transform(profile, mode)
            return "other", name
        levels = np.linspace(0, 255, 9 if mode == "RGB" else 256).round().astype(np.uint8)
        if mode == "RGB":
            samples = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 81, 3)
            plain = samples
        else:
            samples = levels[None]
            plain = np.repeat(samples[..., None], 3, axis=2)
        shown = np.asarray(_transform(profile, mode).apply(Image.fromarray(samples)), np.int64)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        return "damaged", str(error).strip() or type(error).__name__
    return ("srgb", name) if np.abs(shown - plain).max() <= _SAME_COLOUR else ("other", name or "an unnamed profile")


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
