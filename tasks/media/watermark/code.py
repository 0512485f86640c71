"""The error correction of the watermark: a convolutional code with a check value, decoded from soft bits.

64 bits of payload and a 24-bit check go through the convolutional code of constraint length 9 with the largest free
distance at rate 1/4 (generators 463, 535, 733 and 745, octal; J. Proakis, Digital Communications), ended by zeros; the
Viterbi algorithm finds the likeliest payload.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from numpy.typing import NDArray

from troupe.faces import Floats

__all__ = ["CHECK_BITS", "CODED_BITS", "PAYLOAD_BITS", "check_bits", "decode_bits", "encode_bits"]

PAYLOAD_BITS = 64
CHECK_BITS = 24
_MEMORY = 8
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
_STEPS = PAYLOAD_BITS + CHECK_BITS + _MEMORY
CODED_BITS = _STEPS * len(_GENERATORS)

Bits = NDArray[np.uint8]


def check_bits(payload: bytes) -> Bits:
    """Return the check value of a payload of 8 bytes."""
    digest = hashlib.sha256(b"troupe watermark check" + payload).digest()
    return np.unpackbits(np.frombuffer(digest[: CHECK_BITS // 8], np.uint8))


def encode_bits(payload: bytes) -> Bits:
    """Return the coded bits, (`CODED_BITS`,), of a payload of 8 bytes."""
    message = np.concatenate([np.unpackbits(np.frombuffer(payload, np.uint8)), check_bits(payload)])
    outputs, _ = _trellis()
    coded, state = [], 0
    for bit in (*message.tolist(), *[0] * _MEMORY):
        register = bit << _MEMORY | state
        coded.append(outputs[register])
        state = register >> 1
    return ((np.concatenate(coded) + 1) // 2).astype(np.uint8)


def decode_bits(soft: Floats) -> bytes | None:
    """Return the likeliest payload if its check value is right, else None.

    Args:
        soft: (`CODED_BITS`,), positive for ones, in proportion to their log-likelihood.
    """
    outputs, sources = _trellis()
    states = 1 << _MEMORY
    scores = np.full(states, -np.inf)
    scores[0] = 0.0
    gains = soft.reshape(_STEPS, -1) @ outputs.T  # (steps, registers)
    choices = np.empty((_STEPS, states), np.uint8)
    for step in range(_STEPS):
        # The state after a step is the register without its lowest bit, which two registers share.
        ahead = (scores[sources] + gains[step]).reshape(states, 2)
        choices[step] = ahead[:, 1] > ahead[:, 0]
        scores = ahead.max(1)
    state, bits = 0, np.empty(_STEPS, np.uint8)
    for step in reversed(range(_STEPS)):
        register = state << 1 | int(choices[step, state])
        bits[step] = register >> _MEMORY
        state = register & (states - 1)
    payload = np.packbits(bits[:PAYLOAD_BITS]).tobytes()
    right = np.array_equal(bits[PAYLOAD_BITS : PAYLOAD_BITS + CHECK_BITS], check_bits(payload))
    return payload if right else None


@functools.cache
def _trellis() -> tuple[Floats, NDArray[np.int64]]:
    """Return the outputs, +-1, (registers, generators), and the state that each register comes from."""
    registers = np.arange(2 << _MEMORY)
    parity = np.array([[(int(r) & g).bit_count() & 1 for g in _GENERATORS] for r in registers])
    return (2.0 * parity - 1.0).astype(np.float32), registers & ((1 << _MEMORY) - 1)
