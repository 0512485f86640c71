"""Signing of a film: every video and the poster get Content Credentials before they are published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalogs.store.uris import name, redacted_text
from tasks.credentials.file_types import sidecar_path
from tasks.credentials.manifest import Generation, Ingredient, sign_file
from tasks.steps.context import WorkerContext
from tasks.steps.specs import FilmSpec
from troupe.errors import SigningError

__all__ = ["SignedFilm", "sign_film"]


@dataclass(frozen=True)
class SignedFilm:
    """The files of a film as they are published, with or without signatures.

    Attributes:
        outputs: local files by output, the main one first.
        poster: the poster.
        manifests: manifests of the outputs that cannot contain one, by output.
        facts: who signed, as the catalog's columns name it.
        notes: what was left out, for the user.
    """

    outputs: Mapping[str, Path]
    poster: Path
    manifests: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=lambda: {"signature": "unsigned"})
    notes: tuple[str, ...] = ()


def sign_film(context: WorkerContext, spec: FilmSpec, film: SignedFilm, folder: Path) -> SignedFilm:
    """Sign the files of a film.

    Args:
        film: the files without signatures, which are replaced.
        folder: folder for the signed files.

    Raises:
        SigningError: this worker has no signer, or another one than the run, or signing failed.
    """
    signer = context.signer
    if signer is None:
        raise SigningError("this worker has no signer: set the variables TROUPE_SIGNING_... of the run on every worker")
    if signer.key != spec.signer:
        raise SigningError(
            f"the run was planned for another signing certificate than this worker's, {signer.subject}; use the same "
            "certificate on every machine, or run again"
        )
    generation, notes = _generation(context, spec), dict[str, None]()
    signed: dict[str, Path] = {}
    manifests: dict[str, Path] = {}

    def sign(path: Path, *, composite: bool) -> Path:
        context.raise_if_cancelled()
        sidecar = sidecar_path(path)
        target = sidecar or folder / "signed" / path.name
        target.parent.mkdir(exist_ok=True)
        notes.update(dict.fromkeys(sign_file(signer, path, target, generation, composite=composite)))
        return target

    for output, path in film.outputs.items():
        target = sign(path, composite=output != "crop" and spec.job.output != "crop")
        if target.suffix == path.suffix:
            signed[output] = target
            path.unlink()
        else:
            signed[output], manifests[output] = path, target
    picture = folder / "poster.jpg"
    film.poster.replace(picture)
    return SignedFilm(
        outputs=signed,
        poster=sign(picture, composite=spec.job.output != "crop"),
        manifests=manifests,
        facts={"signature": "signed", "signer": signer.subject},
        notes=tuple(notes),
    )


def _generation(context: WorkerContext, spec: FilmSpec) -> Generation:
    inputs = {"portrait": spec.picture.portrait.picture, "driving": spec.picture.motion.track.clip}
    if spec.audio is not None:
        inputs["audio"] = spec.audio
    return Generation(
        run_id=spec.run_id,
        job_id=spec.job.job_id,
        picture_key=spec.picture.key,
        weights=spec.weights,
        consent=redacted_text(spec.job.consent),
        ingredients=[
            Ingredient(role, context.input(source), name(source.uri), source.sha256) for role, source in inputs.items()
        ],
    )
