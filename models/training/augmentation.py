"""Augmentation of pictures: light, blur, noise and compression."""

from __future__ import annotations

import cv2
import numpy as np

from troupe import Picture

__all__ = ["augment", "compress_jpeg", "jitter_light"]


def augment(picture: Picture, rng: np.random.Generator, light: float = 1.0) -> Picture:
    """Apply random changes of light, blur, noise and JPEG compression.

    Args:
        picture: (H, W, 3).
        light: strength of the change of light, as a factor.
    """
    picture = jitter_light(picture, rng, light)
    if rng.random() < 0.25:
        picture = _blurred(picture, rng.uniform(0.3, 1.0))
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(1, 6), picture.shape[:2]).astype(np.float32)[..., None]
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        picture = compress_jpeg(picture, int(rng.integers(35, 96)))
    return picture


def jitter_light(picture: Picture, rng: np.random.Generator, light: float = 1.0) -> Picture:
    """Change colour, brightness, contrast and saturation at random."""
    tint = np.exp(rng.normal(0, 0.06 * light, 3) + rng.normal(0, 0.10 * light))
    saturation = np.exp(rng.normal(0, 0.15 * light))
    grey = np.full((3, 3), 1 / 3)
    mixing = np.diag(tint) @ (grey + saturation * (np.eye(3) - grey))
    gamma = np.exp(rng.normal(0, 0.12 * light))
    curve = np.rint(255 * np.linspace(0, 1, 256) ** gamma + rng.normal(0, 6 * light)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(cv2.transform(picture, mixing), curve), dtype=np.uint8)


def compress_jpeg(picture: Picture, quality: int) -> Picture:
    """Compress to JPEG of this quality (1..100) and decode again."""
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], dtype=np.uint8)


def _blurred(picture: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.uint8)
