"""An evaluation in a table for people, beside the numbers that the model's authors published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.evaluation.metrics import CLIP_FRAMES, CROSS, SELF, TOGETHER, means

__all__ = ["Evaluation"]

PUBLISHED = {
    "psnr": 32.98,
    "ssim": 0.81,
    "lpips": 0.11,
    "fvd": 333.48,
    "landmarks": 2.02,
    "identity": 0.887,
}
"""Self-reenactment at 512x512 (HunyuanPortrait, arXiv 2503.18860)."""

_SELF_WORDS = {
    "psnr": ("PSNR, dB", "higher"),
    "ssim": ("SSIM", "higher"),
    "lpips": ("LPIPS", "lower"),
    "fid": ("FID, of frames", "lower"),
    "fvd": (f"FVD, of {CLIP_FRAMES} frames", "lower"),
    "temporal_lpips": ("temporal LPIPS", "lower"),
    "landmarks": ("landmark distance, pixels of 512", "lower"),
    "identity": ("identity similarity to the clip", "higher"),
    "flicker": ("flicker, grey levels", "lower"),
}
_CROSS_WORDS = {
    "identity": ("identity similarity to the portrait", "higher"),
    "expression": ("expression distance to the clip (*)", "lower"),
    "pose": ("head-pose distance to the clip, degrees (*)", "lower"),
    "landmarks": ("landmark distance to the clip, normalised", "lower"),
    "flicker": ("flicker, grey levels", "lower"),
}
_NEEDS = {"lpips": "--lpips", "temporal_lpips": "--lpips", "fid": "--inception", "fvd": "--video-features"}


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        clips: a row a render: job_id, kind (`self` or `cross`), portrait, driving, frames, error, and the measures.
        together: measures of all self-reenactments, by name.
        missing: measures whose network was not given.
        embedder: what told identities.
    """

    run_id: str
    clips: Sequence[Mapping[str, Any]]
    together: Mapping[str, float | None]
    missing: frozenset[str]
    embedder: str

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """The rows of a kind that were measured."""
        return [row for row in self.clips if row["kind"] == kind and not row["error"]]

    def markdown(self) -> str:
        """Both tables, and what has to be said about them."""
        failed = [row for row in self.clips if row["error"]]
        parts = [f"# Evaluation {self.run_id}"]
        if own := self.of("self"):
            values = {**means(own, SELF), **{name: self.together.get(name) for name in TOGETHER}}
            parts += [
                f"## Self-reenactment: {_count(own)}\n\nThe first frame is the portrait, and the clip drives it.",
                self._table(_SELF_WORDS, values, PUBLISHED),
                "**The published numbers (HunyuanPortrait, self-reenactment at 512x512) come from another data set, "
                "other detectors and other embedders: they say what size to expect, not who is better.** The paper's "
                "FID-VID, 75.81, is of features of clips and no FID of frames.",
            ]
        if cross := self.of("cross"):
            parts += [
                f"## Cross-reenactment: {_count(cross)}",
                self._table(_CROSS_WORDS, means(cross, CROSS)),
                "(*) by the model's own motion encoders, which it was trained with: a model that serves them well "
                "need not look right.",
            ]
        parts.append(
            f"Identities are told by {self.embedder}. Renders are measured as they are delivered, after H.264. "
            "FID and FVD of few clips are far too high; compare only equal numbers of clips."
        )
        if failed:
            parts.append("Not measured:\n\n" + "\n".join(f"- {row['job_id']}: {row['error']}" for row in failed))
        return "\n\n".join(parts) + "\n"

    def _table(
        self,
        words: Mapping[str, tuple[str, str]],
        values: Mapping[str, float | None],
        published: Mapping[str, float] | None = None,
    ) -> str:
        """A row a measure, in the order of `words`."""
        lines = [["measure", "better", "here"], ["---"] * 3]
        lines += [[label, direction, self._shown(name, values[name])] for name, (label, direction) in words.items()]
        if published is not None:
            column = ["published", "---", *(str(published.get(name, "")) for name in words)]
            lines = [[*line, cell] for line, cell in zip(lines, column, strict=True)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _shown(self, name: str, value: float | None) -> str:
        if value is not None:
            return f"{value:.4g}"
        if name in self.missing:
            return f"missing: no {_NEEDS[name]} given"
        return "missing: too few clips" if name in TOGETHER else "missing: no face was found"


def _count(rows: Sequence[Mapping[str, Any]]) -> str:
    frames = sum(row["frames"] for row in rows)
    return f"{len(rows)} clip{'s' if len(rows) != 1 else ''}, {frames} frames"
