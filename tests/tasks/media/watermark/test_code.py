"""The error correction of the watermark's payload."""

from __future__ import annotations

import numpy as np

from tasks.media.watermark.code import CODED_BITS, decode_bits, encode_bits


def test_payloads_survive_noise_and_noise_is_no_payload() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(20):
        payload = rng.bytes(8)
        coded = 2.0 * encode_bits(payload) - 1
        assert coded.shape == (CODED_BITS,)
        assert decode_bits(coded) == payload
        noisy = coded + rng.normal(0, 1.2, CODED_BITS)  # a fifth of the bits is wrong
        wrong += decode_bits(noisy) != payload
        assert decode_bits(rng.normal(0, 1, CODED_BITS)) is None
    assert wrong == 0
