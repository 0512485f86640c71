"""Evaluation results as Markdown tables, beside the numbers that the model's authors published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.evaluation.metrics import CROSS, OVERALL, SELF, means
from tasks.evaluation.networks import CLIP_FRAMES

__all__ = ["Evaluation"]

PUBLISHED = {
    "psnr": 32.98,
    "ssim": 0.81,
    "lpips": 0.11,
    "fvd": 333.48,
    "landmarks": 2.02,
    "identity": 0.887,
}
"""Measures of self-reenactment at 512x512 (HunyuanPortrait, arXiv 2503.18860)."""

_SELF_LABELS = {
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
_CROSS_LABELS = {
    "identity": ("identity similarity to the portrait", "higher"),
    "expression": ("expression distance to the clip (*)", "lower"),
    "pose": ("head-pose distance to the clip, degrees (*)", "lower"),
    "landmarks": ("landmark distance to the clip, normalised", "lower"),
    "flicker": ("flicker, grey levels", "lower"),
}
_OPTIONS = {"lpips": "--lpips", "temporal_lpips": "--lpips", "fid": "--inception", "fvd": "--video-features"}


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation.

    Attributes:
        clips: one row per render: job_id, kind (`self` or `cross`), portrait, driving, frames, error, the measures.
        overall: measures over all self-reenactments, by name.
        missing: names of the measures whose network was not given.
        embedder: name of the network that compared identities.
    """

    run_id: str
    clips: Sequence[Mapping[str, Any]]
    overall: Mapping[str, float | None]
    missing: frozenset[str]
    embedder: str

    def measured(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the measured rows of one kind."""
        return [row for row in self.clips if row["kind"] == kind and not row["error"]]

    def markdown(self) -> str:
        """Return the tables and how to read them."""
        failed = [row for row in self.clips if row["error"]]
        parts = [f"# Evaluation {self.run_id}"]
        if own := self.measured("self"):
            values = {**means(own, SELF), **{name: self.overall.get(name) for name in OVERALL}}
            parts += [
                f"## Self-reenactment: {_count(own)}\n\nThe first frame is the portrait, and the clip drives it.",
                self._table(_SELF_LABELS, values, PUBLISHED),
                "**The published numbers (HunyuanPortrait, self-reenactment at 512x512) come from another data set, "
                "other detectors and other embedders: they give the magnitude to expect, not a ranking.** The paper's "
                "FID-VID, 75.81, is computed on features of clips and is not an FID of frames.",
            ]
        if cross := self.measured("cross"):
            parts += [
                f"## Cross-reenactment: {_count(cross)}",
                self._table(_CROSS_LABELS, means(cross, CROSS)),
                "(*) by the model's own motion encoders, which it was trained with: a good value does not prove that "
                "the render looks right.",
            ]
        parts.append(
            f"Identities are compared by {self.embedder}. Renders are measured as delivered, after H.264. "
            "FID and FVD of few clips are far too high; compare only equal numbers of clips."
        )
        if failed:
            parts.append("Not measured:\n\n" + "\n".join(f"- {row['job_id']}: {row['error']}" for row in failed))
        return "\n\n".join(parts) + "\n"

    def _table(
        self,
        labels: Mapping[str, tuple[str, str]],
        values: Mapping[str, float | None],
        published: Mapping[str, float] | None = None,
    ) -> str:
        """Return a table with one row per measure, in the order of `labels`."""
        lines = [["measure", "better", "here"], ["---"] * 3]
        lines += [[label, direction, self._cell(name, values[name])] for name, (label, direction) in labels.items()]
        if published is not None:
            column = ["published", "---", *(str(published.get(name, "")) for name in labels)]
            lines = [[*line, cell] for line, cell in zip(lines, column, strict=True)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _cell(self, name: str, value: float | None) -> str:
        if value is not None:
            return f"{value:.4g}"
        if name in self.missing:
            return f"missing: no {_OPTIONS[name]} given"
        return "missing: too few clips" if name in OVERALL else "missing: no face was found"


def _count(rows: Sequence[Mapping[str, Any]]) -> str:
    frames = sum(row["frames"] for row in rows)
    return f"{len(rows)} clip{'s' if len(rows) != 1 else ''}, {frames} frames"
