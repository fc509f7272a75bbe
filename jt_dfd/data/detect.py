"""Faces and their landmarks in a photograph: mediapipe's detectors and face mesh, run by LiteRT, decoded here.

Detectors: the short-range one (input 128 pixels) for faces that fill a good part of the picture, the full-range one
(192 pixels) for smaller ones, and the full-range one again on overlapping tiles where neither finds any.  The mesh
(468 points) then runs on an upright square around the face, twice: the second square comes from the first mesh.
The person mask (selfie segmentation) tells people from their background.
"""
from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from . import models

#: a detection counts from this score on (mediapipe's default)
MIN_SCORE = 0.5
#: two boxes that overlap by more are one face (mediapipe's default)
MAX_OVERLAP = 0.3
#: edge of the mesh's square, in multiples of the detection's or the landmarks' box (mediapipe)
ROOM = 1.5
#: eye contours in the mesh, the viewer's left and right (the same points as in the set of generated faces)
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
NOSE_TIP, NOSE_WINGS = 1, (48, 278, 64, 294)
MOUTH_LEFT, MOUTH_RIGHT = 61, 291
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)


def interpreter(name: str):
    """A LiteRT interpreter of the network ``name`` (models.FILES), one thread, tensors allocated."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise models.ModelMissing("face detection and person masks need ai-edge-litert, which is not installed: "
                                  "tools/install_data_extras.sh") from None
    path = str(models.path(name))
    with _native_stderr_closed():
        out = Interpreter(path, num_threads=1)
        out.allocate_tensors()
    return out


@contextlib.contextmanager
def _native_stderr_closed():
    """LiteRT greets on the process's error stream each time, from C++, in the middle of progress bars."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def run(network, x: np.ndarray):
    """The outputs, in the network's own order, for one input array."""
    network.set_tensor(network.get_input_details()[0]["index"], x)
    network.invoke()
    return [network.get_tensor(detail["index"]).copy() for detail in network.get_output_details()]


class PersonMask:
    """``PersonMask()(picture)``: (H, W, 3) uint8 RGB to how much each pixel is person, (H, W) float32 from 0 to 1."""

    size = 256

    def __init__(self):
        self.network = interpreter("person")

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        mask = run(self.network, small[None])[0][0, :, :, 0]
        mask = _fill_holes(mask)
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        # a firmer edge than the network's own: a half transparent rim is neither hair nor paper
        return np.clip((mask - 0.25) / 0.5, 0, 1)


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    """Background that does not reach the border of the picture is no background; person parts far from the main one
    and small are no person."""
    outside = (mask < 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    height, width = mask.shape
    for label in range(1, len(stats)):
        x, y, w, h, _ = stats[label]
        if x > 0 and y > 0 and x + w < width and y + h < height:
            mask = np.where(labels == label, np.float32(1), mask)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask >= 0.25).astype(np.uint8), connectivity=8)
    if len(stats) > 2:
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        mask = np.where((labels == largest) | (labels == 0), mask, np.float32(0))
    return mask.astype(np.float32)


def whiten_background(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A uint8 picture (H, W, 3) laid over white paper through a mask (H, W) from 0 (paper) to 1 (picture)."""
    alpha = mask[:, :, None]
    return np.round(picture * alpha + 255 * (1 - alpha)).astype(np.uint8)


class Detection(NamedTuple):
    """A face: box (x0, y0, x1, y1) and six key points (6, 2) in pixels of the photograph, score 0 to 1."""

    box: np.ndarray
    points: np.ndarray
    score: float

    @property
    def size(self) -> float:
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


@dataclass(frozen=True)
class Face:
    """The face chosen in a photograph.

    mesh     (468, 3) float32: x, y in pixels of the photograph, z in the same unit, smaller is nearer
    score    of the mesh's own face flag, 0 to 1
    others   how many further faces there were
    """

    mesh: np.ndarray
    score: float
    others: int = 0

    @property
    def landmarks(self) -> Dict[str, Tuple[float, float]]:
        """The five points of components.CANONICAL_POINTS."""
        xy = self.mesh[:, :2]
        points = {"left_eye": xy[list(LEFT_EYE)].mean(0), "right_eye": xy[list(RIGHT_EYE)].mean(0),
                  "nose": xy[NOSE_TIP], "mouth_left": xy[MOUTH_LEFT], "mouth_right": xy[MOUTH_RIGHT]}
        return {name: (float(x), float(y)) for name, (x, y) in points.items()}

    @property
    def yaw(self) -> float:
        """Degrees, crude: 0 frontal, positive where the side at the viewer's right is further away."""
        right, left = self._upright(454), self._upright(234)
        return float(np.degrees(np.arctan2(right[2] - left[2], right[0] - left[0])))

    @property
    def pitch(self) -> float:
        """Degrees, crude: positive where the chin is further away than the forehead; about 7 for a level face."""
        chin, forehead = self._upright(152), self._upright(10)
        return float(np.degrees(np.arctan2(chin[2] - forehead[2], chin[1] - forehead[1])))

    @property
    def eye_distance(self) -> float:
        """Pixels of the photograph between the eyes."""
        marks = self.landmarks
        return float(np.hypot(*(np.subtract(marks["right_eye"], marks["left_eye"]))))

    def _upright(self, index: int) -> np.ndarray:
        """A mesh point with the head's roll taken out."""
        marks = self.landmarks
        dx, dy = np.subtract(marks["right_eye"], marks["left_eye"])
        angle = -np.arctan2(dy, dx)
        x, y, z = self.mesh[index]
        return np.array([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z])


def _anchors(size: int, layers) -> np.ndarray:
    """Anchor centres (N, 2), 0 to 1, for ((stride, anchors a cell), ...)."""
    out = []
    for stride, count in layers:
        cells = size // stride
        at = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(at, at, indexing="ij")
        out.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), count, 0))
    return np.concatenate(out).astype(np.float32)


class _Detector:
    def __init__(self, name: str, size: int, layers):
        self.network, self.size, self.anchors = interpreter(name), size, _anchors(size, layers)

    def __call__(self, picture: np.ndarray) -> List[Detection]:
        height, width = picture.shape[:2]
        scale = self.size / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        square = np.zeros((self.size, self.size, 3), np.float32)
        x0, y0 = (self.size - w) // 2, (self.size - h) // 2
        square[y0:y0 + h, x0:x0 + w] = small
        square[y0:y0 + h, x0:x0 + w] = square[y0:y0 + h, x0:x0 + w] / 127.5 - 1
        outputs = run(self.network, square[None])
        boxes = next(o for o in outputs if o.shape[-1] == 16)[0]
        scores = next(o for o in outputs if o.shape[-1] == 1)[0, :, 0]
        scores = 1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -100, 100)))
        found = []
        for i in np.flatnonzero(scores >= MIN_SCORE):
            values = boxes[i].reshape(8, 2).copy()
            values[0] += self.anchors[i] * self.size
            values[2:] += self.anchors[i] * self.size
            centre, extent, points = values[0], values[1], values[2:]
            back = lambda p: (p - (x0, y0)) * (width / w, height / h)  # noqa: E731
            box = np.concatenate([back(centre - extent / 2), back(centre + extent / 2)])
            found.append(Detection(box, back(points), float(scores[i])))
        return found


class FaceFinder:
    """``FaceFinder()(picture)``: the largest face of a photograph (H, W, 3) uint8 RGB with its mesh, or None."""

    def __init__(self):
        self.short = _Detector("face_short", 128, ((8, 2), (16, 6)))
        self.full = _Detector("face_full", 192, ((4, 1),))
        self.mesh_network = interpreter("mesh")

    def __call__(self, picture: np.ndarray, thorough: bool = True) -> Optional[Face]:
        """thorough: where the whole picture shows no face, look at tiles of it too."""
        tried = []
        for faces in self._searches(picture):
            for face in faces:
                if any(_overlap(face.box, other.box) > MAX_OVERLAP for other in tried):
                    continue
                tried.append(face)
                mesh = self.mesh(picture, *_square_of_detection(face))
                if mesh is not None:
                    sizes = [f.size for f in faces]
                    # a distant bystander is no second face worth a word
                    others = sum(size > 0.4 * face.size for size in sizes) - 1
                    return Face(mesh[0], mesh[1], max(0, others))
            if not thorough:
                break
        return None

    def _searches(self, picture: np.ndarray):
        """Detections of one search after another, each largest first: whole picture, then smaller and smaller tiles."""
        yield _merged(self.short(picture) + self.full(picture))
        height, width = picture.shape[:2]
        for parts in (2, 4):
            edge = max(height, width) // parts
            if edge < 128:
                return
            found = []
            for y in _starts(height, edge):
                for x in _starts(width, edge):
                    for d in self.full(picture[y:y + edge, x:x + edge]):
                        found.append(Detection(d.box + (x, y, x, y), d.points + (x, y), d.score))
            yield _merged(found)

    def mesh(self, picture: np.ndarray, centre, edge: float, angle: float) -> Optional[Tuple[np.ndarray, float]]:
        """((468, 3) mesh in pixels of ``picture``, score) for an upright square, or None where it sees no face."""
        out = None
        for _ in range(2):
            out = self._mesh_once(picture, centre, edge, angle)
            if out is None:
                return None
            xy = out[0][:, :2]
            left, right = xy[list(LEFT_EYE)].mean(0), xy[list(RIGHT_EYE)].mean(0)
            angle = float(np.arctan2(*(right - left)[::-1]))
            turned = xy @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            low, high = turned.min(0), turned.max(0)
            middle = (low + high) / 2
            centre = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ middle
            edge = ROOM * float((high - low).max())
        return out

    def _mesh_once(self, picture, centre, edge, angle):
        size = 192
        if not np.isfinite([*centre, edge, angle]).all() or edge < 8:
            return None
        c, s = np.cos(angle) * edge / size, np.sin(angle) * edge / size
        to_picture = np.array([[c, -s, 0], [s, c, 0]])
        # pixel centres: the square's middle lies between its pixels
        middle = (size - 1) / 2
        to_picture[:, 2] = np.asarray(centre) - to_picture[:, :2] @ (middle, middle)
        from .align import warp

        crop = warp(picture, to_picture, size, border=cv2.BORDER_CONSTANT)
        outputs = run(self.mesh_network, (crop.astype(np.float32) / 255)[None])
        points = next(o for o in outputs if o.size == 1404).reshape(468, 3)
        flag = float(next(o for o in outputs if o.size == 1).reshape(-1)[0])
        score = 1 / (1 + np.exp(-np.clip(flag, -50, 50)))
        if score < MIN_SCORE:
            return None
        # mediapipe cuts its crops and reads them back so that pixel x of the crop is x of the network (checked against
        # it)
        xy = points[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        return np.concatenate([xy, points[:, 2:] * edge / size], 1).astype(np.float32), float(score)


def _square_of_detection(face: Detection):
    """(centre, edge, angle) of the mesh's first square."""
    dx, dy = face.points[1] - face.points[0]  # from the viewer's left eye to the right one
    centre = (face.box[:2] + face.box[2:]) / 2
    return centre, ROOM * face.size, float(np.arctan2(dy, dx))


def _starts(length: int, edge: int) -> List[int]:
    """Tiles of ``edge`` over ``length``, each overlapping the next by half at least."""
    if length <= edge:
        return [0]
    count = int(np.ceil((length - edge) / (edge / 2))) + 1
    return [int(v) for v in np.linspace(0, length - edge, count)]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(high - low, 0))
    area = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / area) if area > 0 else 0.0


def _merged(found: List[Detection]) -> List[Detection]:
    """Each face once: of boxes that overlap, their average weighted by score; largest face first."""
    left = sorted(found, key=lambda d: -d.score)
    faces = []
    while left:
        best = left[0]
        same = [d for d in left if d is best or _overlap(d.box, best.box) > MAX_OVERLAP]
        left = [d for d in left if not any(d is s for s in same)]
        weight = np.array([d.score for d in same])
        weight /= weight.sum()
        faces.append(Detection(sum(w * d.box for w, d in zip(weight, same)),
                               sum(w * d.points for w, d in zip(weight, same)), best.score))
    return sorted(faces, key=lambda d: -d.size)
