"""Length and loudness of sound: measured by ITU-R BS.1770, and normalised with a limited true peak."""

from tasks.media.sound.envelope import mono_blocks
from tasks.media.sound.length import measure_sound, processor_seconds, sound_seconds, sound_traits
from tasks.media.sound.loudness import Loudness, measure_file, measure_loudness
from tasks.media.sound.normalise import NormalisedSound, check_target, default_ceiling, lower_ceiling, normalise

__all__ = [
    "Loudness",
    "NormalisedSound",
    "check_target",
    "default_ceiling",
    "lower_ceiling",
    "measure_file",
    "measure_loudness",
    "measure_sound",
    "mono_blocks",
    "normalise",
    "processor_seconds",
    "sound_seconds",
    "sound_traits",
]
