"""tasks.run.inputs.model."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.store import open_store
from models.miniature.init_weights import init_weights
from models.weights import convert
from tasks.run.inputs.model import weights_fingerprint
from tests.small import SMALL


def test_a_fingerprint_is_of_the_real_content(tmp_path: Path) -> None:
    init_weights(tmp_path / "weights", 0, SMALL)
    hashes, weights = ContentHashes(open_store(str(tmp_path / "store"))), tmp_path / "weights"
    list(convert(weights))
    genuine, forged = weights_fingerprint(weights, hashes), weights / "hyportrait" / "image_proj.safetensors"
    with safe_open(forged, "pt") as file:
        tensors, note = {name: file.get_tensor(name) + 1 for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors, forged, note)
    assert weights_fingerprint(weights, hashes) != genuine
