"""Faces: finding them, following them, and the crops that the networks see."""

from models.faces.alignment import align
from models.faces.crops import Box, FaceCrops, clip_crops, cut_face, cut_head, face_box, head_box
from models.faces.detection.detector import FaceDetector, open_detector
from models.faces.framing import references, steadied
from models.faces.gaps import fill, refuse_gaps, shots
from models.faces.paste_back.blend_linear import Paster, make_paster, paste, paste_mask
from models.faces.paste_back.blend_seamless import SeamlessPaster
from models.faces.portrait import Portrait, prepare_portrait
from models.faces.recognition import FaceRecogniser, Recognise
from models.faces.tracking import follow

__all__ = [
    "Box",
    "FaceCrops",
    "FaceDetector",
    "FaceRecogniser",
    "Paster",
    "Portrait",
    "Recognise",
    "SeamlessPaster",
    "align",
    "clip_crops",
    "cut_face",
    "cut_head",
    "face_box",
    "fill",
    "follow",
    "head_box",
    "make_paster",
    "open_detector",
    "paste",
    "paste_mask",
    "prepare_portrait",
    "references",
    "refuse_gaps",
    "shots",
    "steadied",
]
