"""The denoiser and its conditioning on appearance and motion."""

from models.denoiser.conditioning import Context, MotionContext
from models.denoiser.pose_guider import PoseGuider
from models.denoiser.resnet import ResBlock
from models.denoiser.transformer import Transformer
from models.denoiser.unet import Denoiser

__all__ = ["Context", "Denoiser", "MotionContext", "PoseGuider", "ResBlock", "Transformer"]
