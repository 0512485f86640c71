"""Faces: finding them, following them, and the crops that the networks see."""

from models.faces.alignment import align
from models.faces.crops import Box, FaceCrops, clip_crops, cut_face, cut_head, face_box, head_box
from models.faces.detector import FaceDetector, open_detector
from models.faces.follow import follow
from models.faces.paste import Paster, paste, paste_mask
from models.faces.portrait import Portrait, prepare_portrait

__all__ = [
    "Box",
    "FaceCrops",
    "FaceDetector",
    "Paster",
    "Portrait",
    "align",
    "clip_crops",
    "cut_face",
    "cut_head",
    "face_box",
    "follow",
    "head_box",
    "open_detector",
    "paste",
    "paste_mask",
    "prepare_portrait",
]
