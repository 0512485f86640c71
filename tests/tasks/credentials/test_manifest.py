"""Signed manifests: what they say, and that no change goes unnoticed."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest
from PIL import Image

from tasks.credentials.file_types import sidecar_path
from tasks.credentials.manifest import Generation, Ingredient, sign_file
from tasks.credentials.reader import read_credentials
from tasks.credentials.signer import Signer
from tests.tasks.credentials.conftest import SignCopy
from troupe.files import file_sha256


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0)]


def test_a_signed_video_says_what_it_is(sign_copy: SignCopy, video: Path, trust: str, tmp_path: Path) -> None:
    found = read_credentials(sign_copy(tmp_path / "signed.mp4"), trust)
    assert (found.state, found.reason, found.signer) == ("trusted", "", "troupe test signer")
    claims = found.claims
    assert claims.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert (claims.run_id, claims.job_id, claims.weights, claims.consent) == ("run-7", "anna", "fedc", "consent-12")
    assert claims.inputs["portrait"]["title"] == "ada.png"
    assert len(claims.inputs["driving"]["sha256"]) == 64
    assert packets(tmp_path / "signed.mp4") == packets(video)


def test_without_the_authority_the_signature_is_valid_and_not_trusted(sign_copy: SignCopy, tmp_path: Path) -> None:
    found = read_credentials(sign_copy(tmp_path / "signed.mp4", composite=False))
    assert (found.state, found.reason) == ("untrusted", "signing certificate untrusted")
    assert found.claims.source_type == "trainedAlgorithmicMedia"


def test_any_flipped_bit_of_the_media_data_is_noticed(sign_copy: SignCopy, trust: str, tmp_path: Path) -> None:
    path = sign_copy(tmp_path / "signed.mp4")
    content, rng = path.read_bytes(), random.Random(0)
    begin = content.index(b"mdat") + 4
    end = begin - 8 + int.from_bytes(content[begin - 8 : begin - 4], "big")
    states = []
    for position in (rng.randrange(begin, end) for _ in range(200)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        states.append(read_credentials(path, trust).state)
    assert states == ["invalid"] * 200
    assert read_credentials(path, trust).reason.startswith("the file was changed after it was signed (assertion.")


def test_an_ingredient_that_was_signed_keeps_its_history(
    sign_copy: SignCopy, portrait: Path, trust: str, tmp_path: Path
) -> None:
    signed = sign_copy(tmp_path / "signed.png", portrait, composite=False)
    # Under a wrong name, and as one of several: what counts is the content.
    renamed = signed.rename(tmp_path / "portrait.jpg")
    found = read_credentials(sign_copy(tmp_path / "signed.mp4", picture=renamed), trust)
    assert (found.state, found.history) == ("trusted", ("portrait.jpg",))


def test_matroska_gets_a_sidecar(sign_copy: SignCopy, trust: str, tmp_path: Path) -> None:
    master = tmp_path / "master.mkv"
    master.write_bytes(b"\x1aE\xdf\xa3" + bytes(1000))
    sidecar = sidecar_path(master)
    assert sidecar == tmp_path / "master.c2pa"
    sign_copy(sidecar, master)
    assert read_credentials(master, trust).state == "trusted"
    master.write_bytes(b"\x1aE\xdf\xa3" + bytes(1001))
    assert read_credentials(master, trust).state == "invalid"


@pytest.mark.parametrize("suffix", ["jpg", "mov"])
def test_other_formats(sign_copy: SignCopy, video: Path, trust: str, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"source.{suffix}"
    if suffix == "jpg":
        Image.new("RGB", (64, 64)).save(source)
    else:
        with av.open(str(video)) as given, av.open(str(source), "w") as made:
            stream = made.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    made.mux(packet)
    assert read_credentials(sign_copy(tmp_path / f"signed.{suffix}", source), trust).state == "trusted"


def test_a_large_video_is_hashed_in_parts(
    sign_copy: SignCopy, trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers find every change in these, too."""
    monkeypatch.setattr("tasks.credentials.signer._LARGE", 0)
    monkeypatch.setattr("tasks.credentials.signer._PARTS", {"merkle_tree_chunk_size_in_kb": 1})
    signed = sign_copy(tmp_path / "signed.mp4")
    content = signed.read_bytes()
    assert b"merkle" in content
    assert read_credentials(signed, trust).state == "trusted"
    media = content.index(b"mdat")
    for place in (media + 8, media + 1500, len(content) - 1 if content.rindex(b"mdat") > media else media + 2500):
        changed = bytearray(content)
        changed[place] ^= 1
        signed.write_bytes(changed)
        assert read_credentials(signed, trust).state == "invalid", place


def test_an_ingredient_whose_history_is_damaged_is_named_without_it(
    sign_copy: SignCopy, signer: Signer, portrait: Path, trust: str, tmp_path: Path
) -> None:
    signed = sign_copy(tmp_path / "signed.png", portrait, composite=False)
    signed.write_bytes(signed.read_bytes()[:3000])
    ingredient = Ingredient("portrait", signed, "ada.png", file_sha256(signed))
    generation, target = Generation("r", "j", "p", "w", "", [ingredient]), tmp_path / "out.png"
    notes = sign_file(signer, portrait, target, generation, composite=False)
    found = read_credentials(target, trust)
    assert (found.state, found.claims.inputs["portrait"]["title"]) == ("trusted", "ada.png")
    assert notes == ["portrait: its own Content Credentials are damaged, and were left out of the video's"]
    assert found.history == ()
