"""Arrays between the real client and the server: the same voxels either way, and a sentence for anything else."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnInteractive.inference.remote.serialization import pack_array, unpack_array

from casewise.errors import UsageError
from casewise.server.compat.nninteractive.arrays import pack, unpack

LARGEST = 1 << 20


@pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F", "reversed"])
def test_voxels_are_the_same_either_way(kind: str, order: str) -> None:
    array = np.random.default_rng(0).integers(0, 2 if kind == "bool" else 100, (1, 5, 7, 9)).astype(kind)
    array = array[:, ::-1, :, ::-2] if order == "reversed" else np.asarray(array, order=order)
    for back in (unpack(pack_array(array), LARGEST), unpack_array(pack(array))):
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)


def test_zeros_of_an_odd_length_come_back() -> None:
    assert not unpack(pack_array(np.zeros((3, 5, 7), np.uint8)), LARGEST).any()


def test_an_array_larger_than_allowed_is_refused_before_it_is_decompressed() -> None:
    message = pack_array(np.zeros((1, 100, 100, 100), np.float32))
    with pytest.raises(UsageError, match="4000000 bytes"):
        unpack(message, LARGEST)


def test_a_chunk_of_another_codec_is_refused() -> None:
    message = bytearray(pack_array(np.random.default_rng(0).random((3, 8, 8)), filters=None))
    start = message.index(struct.pack("<I", 1)) + 4 + 16
    message[start + 2] |= 0b11000000
    with pytest.raises(UsageError, match="Blosc2's own"):
        unpack(bytes(message), LARGEST)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.integers(0, 2000))
def test_a_damaged_message_is_a_sentence(place: int, value: int, kept: int) -> None:
    message = bytearray(pack_array(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)))
    header = 8 + 5 + 24 + 4 + 16 + 32  # what follows is the codec's own
    message[place % header] = value
    for damaged in (bytes(message), bytes(message[: kept % len(message)])):
        try:
            assert unpack(damaged, LARGEST).size <= LARGEST
        except UsageError as error:
            assert str(error).endswith(".")
