"""catalogs.store.sealed: JSON objects that notice a changed value."""

from __future__ import annotations

import pytest

from catalogs.store.sealed import seal, unseal


def test_values_are_returned_with_their_digest() -> None:
    values = {"b": [1, 2.5, None], "a": {"x": "é"}}
    assert unseal(seal(values)).items() >= values.items()
    assert unseal(b'{"old": 1}') == {"old": 1}


def test_every_flipped_bit_is_noticed_or_makes_no_difference() -> None:
    values = {"frames": 10, "name": "x"}
    data = seal(values)
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        try:
            found = unseal(bytes(changed))
        except ValueError:
            continue
        # The name of the digest itself may be hit; records without it are refused by their other new columns.
        assert {name: found.get(name) for name in values} == values


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unseal(data)
