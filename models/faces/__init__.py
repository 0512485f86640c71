"""Faces: detection, tracking, recognition, and the crops that the networks see."""

from models.faces.alignment import align_face
from models.faces.crops import Box, FaceCrops, clip_crops, crop_face, crop_head, face_box, head_box
from models.faces.detection.detector import FaceDetector, open_detector
from models.faces.framing import reference_boxes, stabilise_keypoints
from models.faces.gaps import fill_gaps, reject_gaps, split_shots
from models.faces.paste_back.blend_linear import Paster, make_paster, paste_mask
from models.faces.paste_back.blend_seamless import SeamlessPaster
from models.faces.portrait import Portrait, prepare_portrait
from models.faces.recognition import FaceRecogniser, Recognise
from models.faces.tracking import track_face

__all__ = [
    "Box",
    "FaceCrops",
    "FaceDetector",
    "FaceRecogniser",
    "Paster",
    "Portrait",
    "Recognise",
    "SeamlessPaster",
    "align_face",
    "clip_crops",
    "crop_face",
    "crop_head",
    "face_box",
    "fill_gaps",
    "head_box",
    "make_paster",
    "open_detector",
    "paste_mask",
    "prepare_portrait",
    "reference_boxes",
    "reject_gaps",
    "split_shots",
    "stabilise_keypoints",
    "track_face",
]
