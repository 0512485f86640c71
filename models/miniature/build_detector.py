"""A rule-based face detector for the synthetic world, without learned weights.

The graph locates the reserved colours of the world (`chroma`) and derives one face from them. It has the inputs and
outputs of an SCRFD network with keypoints, so troupe reads it like any other. It finds at most one face per picture.
"""

from __future__ import annotations

import onnx

from models.miniature.onnx_graph import Graph, Value
from models.synthetic import chroma

__all__ = ["build_detector"]

_STRIDES = (8, 16, 32)
_ANCHORS = 2
_POOL = 2  # side of the pooling window, in pixels
_FAR = 1e6
_EPS = 1e-6
_SCORE = 0.98  # score of a face with full evidence

# Offsets of a part from the centre of its colour, as shares of the visible skin's width, measured on the world.
_EYE_OUT, _EYE_DOWN = 0.011, 0.045
_SIDES = (-0.020, 0.010)
_EYE_TO_MOUTH = 0.40
_MOUTH_REACH = 0.26
_EYE_REACH = 0.10
# Ink faded by compression: how much more golden it may be, and its weight while the eyes are located.
_WASHED, _HINT = 0.04, 0.05
# Distance of the face's top and bottom from the eyes, as shares of the eye-mouth distance and of the skin's width.
_ABOVE = (0.43, 0.21)
_BELOW = (1.28, 0.11)
# The tip of the nose protrudes, so it moves more than eyes and mouth do when the head turns.
_NOSE = (0.60, 0.56, 0.39)
# The corners of the mouth from the centre of its colour: outward and up, in standard deviations of its pixels.
_CORNER_OUT, _CORNER_UP, _CORNER_RISE = 2.1, 0.9, 0.015
# Smallest visible areas of a face, as shares of the squared width of its skin.
_EYE_AREA, _MOUTH_AREA, _SKIN_AREA = 0.0002, 0.001, 0.25
_SMALLEST = 8.0  # smallest width of the skin, in pooled pixels


def build_detector() -> onnx.ModelProto:
    """Build the detector as an ONNX model.

    The input `input.1` is (1, 3, H, W), RGB as (x - 127.5) / 128, H and W multiples of 32. For each stride of 8, 16 and
    32, with n = 2 H W / stride^2, the outputs are scores (n, 1), boxes (n, 4) as distances from the anchor to the left,
    upper, right and lower side, and keypoints (n, 10) as distances from the anchor. Distances are in strides.
    """
    graph = Graph()
    picture = graph.input("input.1")
    score, box, points = _face(graph, picture)
    by_stride = [_anchors(graph, picture, stride, score, box, points) for stride in _STRIDES]
    outputs = {}
    for kind, width, values in zip(("score", "bbox", "kps"), (1, 4, 10), zip(*by_stride, strict=True), strict=True):
        for stride, value in zip(_STRIDES, values, strict=True):
            name = f"{kind}_{stride}"
            graph.node("Identity", value, output=name)
            outputs[name] = (f"n_{stride}", width)
    return graph.model("miniature_detector", {"input.1": (1, 3, "height", "width")}, outputs)


def _face(graph: Graph, picture: Value) -> tuple[Value, Value, Value]:
    """Compute the score (1, 1), box (1, 4) and keypoints (1, 10) of the face, in pixels."""
    small = graph.node("AveragePool", picture * 128.0 + 127.5, kernel_shape=[_POOL] * 2, strides=[_POOL] * 2)
    channels = graph.node("Squeeze", small, graph.integers((0,)))
    red, green, blue = (graph.node("Gather", channels, graph.integer(k), axis=0) for k in range(3))
    bright = red + green + blue + 1.0
    warm, gold = (red - green) / bright, (green - blue) / bright
    x = (graph.count(graph.length(red, 1)) + 0.5).shaped(1, -1)
    y = (graph.count(graph.length(red, 0)) + 0.5).shaped(-1, 1)

    def centre(weight: Value) -> tuple[Value, Value, Value]:
        """Return the centre x, y of weights (H, W), and their sum."""
        amount = weight.total()
        return (weight * x).total() / (amount + _EPS), (weight * y).total() / (amount + _EPS), amount

    def around(at_x: Value, at_y: Value, reach: float) -> Value:
        """Return 1 within a radius, as a share of the skin's width, and 0 beyond 1.4 times it."""
        away_x, away_y = x - at_x, y - at_y
        return (2.0 - (away_x * away_x + away_y * away_y) / (square * reach**2)).clip(0, 1)

    skin = _skin(graph, bright, warm, gold)
    left, right = _extent(skin.total(0), x)
    top, bottom = _extent(skin.total(1), y)
    width = right - left
    square = width * width + _EPS
    inside = (x > left) * (x < right) * (y > top) * (y < bottom)

    # Eyes: the two clusters of ink, split between them and not at the middle of the face. Clear ink locates them
    # roughly; around there, faded ink, as in a compressed picture, counts too.
    dark = _ramp(chroma.INK_BRIGHTEST - bright, 1 / 120) * _ramp(warm - chroma.INK_WARM, 30) * inside
    faint = _ramp(chroma.INK_GOLD + _WASHED - gold, 12) * dark
    ink = _ramp(chroma.INK_GOLD - gold, 12) * dark + faint * _HINT
    split = centre(ink)[0]
    left_x, left_y, _ = centre(ink * (x < split))
    right_x, right_y, _ = centre(ink * (x > split))
    split = (left_x + right_x) * 0.5
    left_x, left_y, _ = centre(ink * (x < split))
    right_x, right_y, _ = centre(ink * (x > split))
    split = (left_x + right_x) * 0.5
    left_x, left_y, left_ink = centre(faint * around(left_x, left_y, _EYE_REACH) * (x < split))
    right_x, right_y, right_ink = centre(faint * around(right_x, right_y, _EYE_REACH) * (x > split))
    split = (left_x + right_x) * 0.5
    eyes_x, eyes_y = split, (left_y + right_y) * 0.5
    apart_x, apart_y = right_x - left_x, right_y - left_y
    apart = (apart_x * apart_x + apart_y * apart_y).sqrt() + _EPS
    along_x, along_y = apart_x / apart, apart_y / apart

    # Mouth: pixels of its colour where the mouth is expected below these eyes.
    near = around(eyes_x - along_y * width * _EYE_TO_MOUTH, eyes_y + along_x * width * _EYE_TO_MOUTH, _MOUTH_REACH)
    mouth = _ramp(warm - gold.clip(0, 1) * 2.5 - chroma.MOUTH_WARM, 12) * near
    mouth_x, mouth_y, mouth_size = centre(mouth)
    way = (x - mouth_x) * along_x + (y - mouth_y) * along_y
    across = (y - mouth_y) * along_x - (x - mouth_x) * along_y
    long = ((mouth * way * way).total() / (mouth_size + _EPS)).sqrt() * _CORNER_OUT
    high = ((mouth * across * across).total() / (mouth_size + _EPS)).sqrt() * _CORNER_UP + width * _CORNER_RISE
    corners_x, corners_y = mouth_x + along_y * high, mouth_y - along_x * high

    down_x, down_y = mouth_x - eyes_x, mouth_y - eyes_y
    down = (down_x * down_x + down_y * down_y).sqrt() + _EPS
    points = (
        (left_x - width * _EYE_OUT, left_y + width * _EYE_DOWN),
        (right_x - width * _EYE_OUT, right_y + width * _EYE_DOWN),
        (
            eyes_x + down_x * _NOSE[0] + (eyes_x - (left + right) * 0.5) * _NOSE[2],
            eyes_y + down_y * _NOSE[1],
        ),
        (corners_x - along_x * long, corners_y - along_y * long),
        (corners_x + along_x * long, corners_y + along_y * long),
    )
    box = (
        left + width * _SIDES[0],
        eyes_y - down * _ABOVE[0] - width * _ABOVE[1],
        right + width * _SIDES[1],
        eyes_y + down * _BELOW[0] + width * _BELOW[1],
    )
    evidence = (
        left_ink / square / _EYE_AREA,
        right_ink / square / _EYE_AREA,
        mouth_size / square / _MOUTH_AREA,
        skin.total() / square / _SKIN_AREA,
        2.0 - skin.total() / square,
        # Eyes 0.2 to 0.8 skin widths apart, mouth 0.2 to 0.7 below them; less evidence outside of these ranges.
        apart / width / 0.2,
        3.0 - apart / width / 0.4,
        down / width / 0.2,
        3.0 - down / width / 0.35,
        down_y / down * 2.0,
        width / _SMALLEST,
    )
    score = graph.number(_SCORE).shaped(1, 1)
    for share in evidence:
        score = score * share.clip(0, 1)
    # Pooled pixels were counted from their edge, but detectors count pixels from their centre.
    return (
        score,
        graph.joined(box) * _POOL - 0.5,
        graph.joined([value for point in points for value in point]) * _POOL - 0.5,
    )


def _ramp(value: Value, slope: float) -> Value:
    """Return 0 below 0, then a slope up to 1."""
    return (value * slope).clip(0, 1)


def _skin(graph: Graph, bright: Value, warm: Value, gold: Value) -> Value:
    """Return a mask (H, W) of pixels that are surrounded by lit skin."""
    colour = warm + gold
    lit = (
        (gold > warm * chroma.SKIN_GOLD[0])
        * (gold < warm * chroma.SKIN_GOLD[1])
        * (colour > chroma.SKIN_COLOUR[0])
        * (colour < chroma.SKIN_COLOUR[1])
        * (bright > chroma.SKIN_DARKEST)
    )
    # An isolated pixel of that colour is the blurred border between two others.
    planes = graph.node("Unsqueeze", lit, graph.integers((0, 1)))
    share = graph.node("AveragePool", planes, kernel_shape=[5, 5], pads=[2, 2, 2, 2], count_include_pad=1)
    return graph.node("Squeeze", share, graph.integers((0, 1))) > 0.6


def _extent(profile: Value, positions: Value) -> tuple[Value, Value]:
    """Return the first and the last position where a profile exceeds a tenth of its maximum; reversed if empty."""
    seen = profile > profile.max() * 0.1
    first = positions.where(seen, _FAR).min().clip(0, _FAR)
    last = positions.where(seen, 0.0).max()
    return first - 0.5, last + 0.5


def _anchors(
    graph: Graph, picture: Value, stride: int, score: Value, box: Value, points: Value
) -> tuple[Value, Value, Value]:
    """Return the outputs of a stride: the anchors nearest to the face's centre have its score, the others 0."""
    sides = [graph.node("Div", graph.length(picture, axis), graph.integer(stride)) for axis in (2, 3)]
    rows, columns = (graph.count(side) * float(stride) for side in sides)
    shape = graph.node("Concat", *(graph.node("Unsqueeze", side, graph.integers((0,))) for side in sides), axis=0)
    x = graph.node("Expand", columns.shaped(1, -1), shape).shaped(-1, 1)
    y = graph.node("Expand", rows.shaped(-1, 1), shape).shaped(-1, 1)
    x1, y1, x2, y2 = (graph.node("Slice", box, *map(graph.integers, ((k,), (k + 1,), (1,)))) for k in range(4))

    def near(position: Value, centre: Value) -> Value:
        # Half open, so that only one position matches. A centre outside the picture belongs to the anchor at its edge.
        kept = graph.node("Min", graph.node("Max", centre, graph.number(0.0)), position.max())
        away = position - kept
        return (away < stride / 2) * (away > -stride / 2 - 1e-3)

    scores = near(x, (x1 + x2) * 0.5) * near(y, (y1 + y2) * 0.5) * score
    boxes = graph.joined([x - x1, y - y1, graph.node("Neg", x - x2), graph.node("Neg", y - y2)]) / float(stride)
    keypoints = (points - graph.joined([x, y] * 5)) / float(stride)
    return _twice(graph, scores, 1), _twice(graph, boxes, 4), _twice(graph, keypoints, 10)


def _twice(graph: Graph, rows: Value, width: int) -> Value:
    """Repeat every row for the two anchors of its position."""
    return graph.joined([rows] * _ANCHORS).shaped(-1, width)
