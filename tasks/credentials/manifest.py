"""The manifest of a video: what was generated, from what, by which run, with which permission."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa

from tasks.credentials.file_types import UNKNOWN, mime_type, sidecar_path
from tasks.credentials.signer import Signer, reading_context
from troupe import __version__

__all__ = ["ASSERTION", "Generation", "Ingredient", "sign_file"]

ASSERTION = "org.troupe.render"
"""Label of the assertion with what only troupe's catalog knows."""
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@dataclass(frozen=True)
class Ingredient:
    """A file that a video was made from.

    Attributes:
        role: `portrait`, `driving` or `audio`; of a package, `film-1` and so on.
        path: local file, whose own manifest is kept if it has one; or a folder of pictures.
        title: name of the file.
        sha256: hash of its content.
    """

    role: str
    path: Path
    title: str
    sha256: str


@dataclass(frozen=True)
class Generation:
    """How the videos of a film were made.

    Attributes:
        run_id, job_id: run and job that made them.
        picture_key: key of the picture in the store.
        weights: fingerprint of the model.
        consent: reference to the permission to use the likeness; empty if there is none.
        ingredients: the portrait first; of a package the film that players choose.
        package: key of the package that the file is; empty for a film.
        films: the films in it, in the order of `ingredients`: `role`, and the fields of `FilmClaims`.
    """

    run_id: str
    job_id: str
    picture_key: str
    weights: str
    consent: str
    ingredients: Sequence[Ingredient]
    package: str = ""
    films: Sequence[Mapping[str, str]] = ()


def sign_file(signer: Signer, path: Path, target: Path, generation: Generation, *, composite: bool) -> list[str]:
    """Write a signed copy of a file, or the sidecar of one that cannot contain a manifest.

    Args:
        target: the signed copy, or the sidecar; see `sidecar_path`.
        composite: whether the video is the portrait, of which a part was generated; otherwise all of it was.

    Returns:
        notes on ingredients whose manifests cannot be kept.

    Raises:
        SigningError: nothing was signed.
    """
    mime, notes = mime_type(path), list[str]()
    parent = generation.ingredients[0].role if generation.package else "portrait" if composite else ""

    def prepare(builder: c2pa.Builder) -> None:
        other = "componentOf" if generation.package else "inputTo"
        for ingredient in generation.ingredients:
            relationship = "parentOf" if ingredient.role == parent else other
            notes.extend(_add(builder, ingredient, relationship))

    definition = _definition(generation, path.name, mime, composite, parent)
    with path.open("rb") as source:
        if sidecar_path(path) is None:
            with target.open("w+b") as signed:
                signer.sign(definition, mime, source, signed, prepare)
        else:
            target.write_bytes(signer.sign(definition, mime, source, None, prepare))
    return notes


def _definition(generation: Generation, title: str, mime: str, composite: bool, parent: str) -> dict[str, Any]:
    source_type = "compositeWithTrainedAlgorithmicMedia" if composite else "trainedAlgorithmicMedia"
    others = [ingredient.role for ingredient in generation.ingredients if ingredient.role != parent]
    used = [parent] if generation.package else others
    made = {
        "action": "c2pa.repackaged" if generation.package else "c2pa.edited" if composite else "c2pa.created",
        "digitalSourceType": _SOURCE_TYPES + source_type,
        "softwareAgent": {"name": "troupe", "version": __version__},
        "parameters": {"ingredientIds": used},
    }
    films = [dict(film) for film in generation.films]
    actions = [made]
    if parent:
        actions.insert(0, {"action": "c2pa.opened", "parameters": {"ingredientIds": [parent]}})
    if generation.package and others:
        actions.append({"action": "c2pa.placed", "parameters": {"ingredientIds": others}})
    return {
        "claim_generator_info": [{"name": "troupe", "version": __version__}],
        "title": title,
        "format": mime,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {
                "label": ASSERTION,
                "data": {
                    "run_id": generation.run_id,
                    "job_id": generation.job_id,
                    "picture_key": generation.picture_key,
                    "weights": generation.weights,
                    "consent": generation.consent,
                    **({"package": generation.package, "films": films} if generation.package else {}),
                    "inputs": [
                        {"role": ingredient.role, "title": ingredient.title, "sha256": ingredient.sha256}
                        for ingredient in generation.ingredients
                    ],
                },
            },
        ],
    }


def _add(builder: c2pa.Builder, ingredient: Ingredient, relationship: str) -> list[str]:
    """Add an ingredient, with its manifest if it has one that can be read; return notes."""
    described = {
        "title": ingredient.title,
        "relationship": relationship,
        "label": ingredient.role,
        "description": f"SHA-256 {ingredient.sha256}",
    }
    mime, notes = mime_type(ingredient.path), list[str]()
    try:
        if _has_manifest(ingredient.path, mime):
            with ingredient.path.open("rb") as file:
                builder.add_ingredient(described | {"format": mime}, mime, file)
            return []
    except c2pa.C2paError:
        notes.append(f"{ingredient.role}: its own Content Credentials are damaged, and were left out of the video's")
    builder.add_ingredient(described | {"format": mime}, UNKNOWN, io.BytesIO())
    return notes


def _has_manifest(path: Path, mime: str) -> bool:
    if mime == UNKNOWN:
        return False
    with reading_context() as context, path.open("rb") as file:
        try:
            c2pa.Reader(mime, file, context=context).close()
        except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
            return False
    return True
