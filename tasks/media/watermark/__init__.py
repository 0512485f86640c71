"""An invisible watermark in the luma of a picture: 64 bits, with a key, without trained weights."""

from tasks.media.watermark.embed import Watermarker, make_watermarker
from tasks.media.watermark.keys import PUBLIC_KEY, WatermarkKey, load_key
from tasks.media.watermark.read import Watermark, read_frames, read_watermark

__all__ = [
    "PUBLIC_KEY",
    "Watermark",
    "WatermarkKey",
    "Watermarker",
    "load_key",
    "make_watermarker",
    "read_frames",
    "read_watermark",
]
