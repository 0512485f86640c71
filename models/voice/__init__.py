"""Voice: lips that follow a sound, while head, eyes and brows stay those of the driving clip.

A low-rank subspace of the expression features, learned from clips with sound, is exchanged for what the sound
determines. The weights directory may hold the network in `troupe/voice.safetensors`; it belongs to one expression
encoder.
"""

from models.voice.lips import exchange_lips
from models.voice.log_mel import SAMPLE_RATE, LogMel, SpeechLevel
from models.voice.network import VoiceConfig, VoiceNetwork

__all__ = ["SAMPLE_RATE", "LogMel", "SpeechLevel", "VoiceConfig", "VoiceNetwork", "exchange_lips"]
