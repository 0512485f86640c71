"""The files of the public release, their repositories on the hub, and their licences.

<weights>/arcface.onnx, yoloface_v5m.pt
<weights>/hyportrait/{dino,expression,headpose,image_proj,motion_proj,pose_guider,unet}.pth
<weights>/{scheduler/scheduler_config,unet/config,vae/config}.json
<weights>/vae/diffusion_pytorch_model.fp16.safetensors
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LICENCES", "RELEASE", "Licence", "Source"]


@dataclass(frozen=True)
class Source:
    """One repository that part of the release comes from.

    Attributes:
        repo: name of the repository on the hub.
        files: paths in the weights directory. In the repository a file has the same path or, with the same name, is in
            any one folder.
        revision: commit, where the release pins one; None is the newest when a directory is first filled.
    """

    repo: str
    files: tuple[str, ...]
    revision: str | None = None


@dataclass(frozen=True)
class Licence:
    """Terms that a user has to accept before the download.

    Attributes:
        repo: repository that the terms apply to.
        holder: licensor.
        terms: summary in a sentence; the model's page has the text.
        gated: whether the hub requires an account that accepted the terms there.
    """

    repo: str
    holder: str
    terms: str
    gated: bool = False

    @property
    def page(self) -> str:
        """The page where the terms can be read, and accepted if gated."""
        return f"https://huggingface.co/{self.repo}"


RELEASE = (
    Source(
        "stabilityai/stable-video-diffusion-img2vid-xt",
        (
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "vae/config.json",
            "vae/diffusion_pytorch_model.fp16.safetensors",
        ),
    ),
    Source("LeonJoe13/Sonic", ("yoloface_v5m.pt",)),
    Source("FoivosPar/Arc2Face", ("arcface.onnx",), "da2f1e9aa3954dad093213acfc9ae75a68da6ffd"),
    Source(
        "tencent/HunyuanPortrait",
        tuple(
            f"hyportrait/{name}.pth"
            for name in ("dino", "expression", "headpose", "image_proj", "motion_proj", "pose_guider", "unet")
        ),
    ),
)
"""Sources of the release; gated ones come first, so that a missing permission shows before gigabytes are downloaded."""

LICENCES = (
    Licence(
        "tencent/HunyuanPortrait",
        "Tencent",
        "HunyuanPortrait's code and weights are for academic, research and education use only.",
    ),
    Licence(
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "Stability AI",
        "Stable Video Diffusion is under Stability AI's research and community licence.",
        gated=True,
    ),
    Licence(
        "FoivosPar/Arc2Face",
        "InsightFace",
        "The face recognition network; InsightFace's own model packs are for non-commercial research.",
    ),
    Licence(
        "LeonJoe13/Sonic",
        "Sonic's authors",
        "The face detector; its terms are those on the model's page.",
    ),
)
