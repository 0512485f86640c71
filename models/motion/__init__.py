"""Motion of a driving clip: encoders of expression, head pose and intensity, and the refiner of motion tokens."""

from models.motion.expression import ExpressionEncoder, expression_encoder_for
from models.motion.headpose import HeadPoseEncoder, head_pose_encoder_for
from models.motion.intensity import intensities, intensity
from models.motion.motion import Motion
from models.motion.refiner import MotionRefiner, motion_tokens
from models.motion.shots import load_shots, save_shots

__all__ = [
    "ExpressionEncoder",
    "HeadPoseEncoder",
    "Motion",
    "MotionRefiner",
    "expression_encoder_for",
    "head_pose_encoder_for",
    "intensities",
    "intensity",
    "load_shots",
    "motion_tokens",
    "save_shots",
]
