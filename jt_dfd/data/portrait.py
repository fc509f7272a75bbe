"""One photograph into the canonical frame, with a reason where that cannot be (in worker processes); and the sketch of
such a face, as a drawing to start from."""
from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import cv2
import numpy as np

from ..components import RELEASE_CANVAS, Geometry
from ..drawings import Reading, judge
from ..drawings.words import remark
from ..pictures import PictureError, read_picture, resized, rgb, write_atomically, write_png
from . import align
from .index import Landmarks
from .models import ModelMissing
from .sketching import DEFAULT_STYLE, Sketcher
from .sources import Rejected, person_mask


@dataclass(frozen=True)
class Options:
    """What is asked of a photograph.

    frame         "detect" finds the face; "aligned" takes the picture as it is (this tool's own frame, FFHQ,
                  CelebA-HQ); "landmarks" takes five points that come with it (CelebA)
    background    "white" paints everything but the person white, "masks" does by CelebAMask-HQ's own masks, "keep"
                  leaves it
    min_eyes      pixels between the eyes in the photograph at least
    max_yaw, max_pitch   degrees away from frontal at most (crude measures of the mesh)
    sketch        "photocopy" draws the sketch here; other styles are drawn elsewhere
    quality       of the WebP files, 1 to 100
    """

    frame: str = "detect"
    background: str = "white"
    min_eyes: float = 32.0
    max_yaw: float = 20.0
    max_pitch: float = 30.0
    sketch: str = "lines"
    quality: int = 95

    def __post_init__(self):
        for name, allowed in (("frame", ("detect", "aligned", "landmarks")),
                              ("background", ("white", "masks", "keep"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")


#: pitch of a level face by the crude measure of the mesh: the mean of the generated faces
LEVEL_PITCH = 7.3
#: pixels of the aligned frame by which landmarks may come out elsewhere when they are looked for again (ours: upright
#: faces differ by up to 6, heads upside down or cut in half mostly by more than 20)
MAX_DISAGREEMENT = 14.0
#: score of the mesh from which a face is upright without a doubt (ours: 0.99999 and more upright, 0.99 upside down)
SURE = 0.9999
#: share of the mesh that may lie outside the photograph (ours: a touch of chin or forehead)
MAX_CUT_OFF = 0.03


@dataclass
class Portrait:
    """A face in the canonical frame: (512, 512, 3) uint8 RGB, its landmarks there (None: unknown), remarks, and how
    many faces the photograph shows."""

    face: np.ndarray
    landmarks: Optional[Landmarks]
    notes: List[str] = field(default_factory=list)
    measures: Dict[str, float] = field(default_factory=dict)
    faces: int = 1


class PortraitMaker:
    """Photograph to Portrait; the networks are loaded when first needed."""

    def __init__(self, options: Options):
        self.options = options
        self._finder: Any = None
        self._mask: Any = None

    def from_file(self, path, landmarks: Optional[Landmarks] = None) -> Portrait:
        """Rejected gives the reason where the file is no usable portrait."""
        try:
            picture = read_picture(path)
        except PictureError as error:
            raise Rejected(f"unreadable: {str(error).split(': ', 1)[-1]}") from None
        if self.options.background != "masks":
            return self.from_picture(picture, landmarks)
        return self.from_picture(picture, landmarks, person_mask(path))

    def from_picture(self, picture: np.ndarray, landmarks: Optional[Landmarks] = None,
                     mask: Any = None) -> Portrait:
        """picture: uint8 (H, W) or (H, W, 3) RGB.  landmarks: the five points in it, for the frame "landmarks".  mask:
        (512, 512) from 0 (background) to 1 of the aligned face, where the background is not "keep" and it is known."""
        notes = []
        if picture.ndim == 2:
            picture = rgb(picture)
            notes.append("grey picture")
        if min(picture.shape[:2]) < 64:
            raise Rejected(f"too small: {picture.shape[1]}x{picture.shape[0]} pixels")
        if self.options.frame == "aligned":
            portrait = self._as_it_is(picture, notes)
        elif self.options.frame == "landmarks":
            portrait = self._by_landmarks(picture, landmarks, notes)
        else:
            portrait = self._by_detection(picture, notes)
        if self.options.background != "keep":
            from .detect import whiten_background

            mask = self._person(portrait.face) if mask is None else mask
            if mask[Geometry().window("nose").slices].mean() < 0.5:
                raise Rejected("no person is seen around the face, as in a drawing of one")
            portrait.face = whiten_background(portrait.face, mask)
        return portrait

    def _as_it_is(self, picture, notes) -> Portrait:
        height, width = picture.shape[:2]
        if height != width:
            raise Rejected(f"not square ({width}x{height}), so not an aligned face")
        face = resized(picture, RELEASE_CANVAS)
        if height < RELEASE_CANVAS // 2:
            notes.append(f"enlarged from {height} pixels")
        return Portrait(face, self._landmarks_if_possible(face), notes)

    def _landmarks_if_possible(self, face: np.ndarray) -> Optional[Landmarks]:
        """The landmarks of an aligned face for the index; None without mediapipe's models or where no face is found."""
        if self._finder is None:
            try:
                self._finder = self._new_finder()
            except ModelMissing:
                self._finder = lambda picture, thorough: None
        found = self._finder(face, thorough=False)
        return None if found is None else found.landmarks

    @staticmethod
    def _new_finder():
        from .detect import FaceFinder

        return FaceFinder()

    def _by_landmarks(self, picture, landmarks, notes) -> Portrait:
        if landmarks is None:
            raise Rejected("no landmarks given for it")
        height, width = picture.shape[:2]
        for name, (x, y) in landmarks.items():
            if not (-width <= x < 2 * width and -height <= y < 2 * height):
                raise Rejected(f"landmark {name} far outside the picture")
        self._check_size(landmarks)
        try:
            face, matrix = align.align(picture, landmarks)
        except ValueError as error:
            raise Rejected(str(error)) from None
        moved = align.moved(matrix, landmarks)
        portrait = Portrait(face, moved, notes)
        # no mesh to tell how frontal it is: a nose far off the middle of the eyes tells
        middle = (moved["left_eye"][0] + moved["right_eye"][0]) / 2
        lean = (moved["nose"][0] - middle) / (moved["right_eye"][0] - moved["left_eye"][0])
        portrait.measures["lean"] = round(float(lean), 3)
        if abs(lean) > np.sin(np.radians(self.options.max_yaw)) * 0.6:
            raise Rejected(f"not frontal: nose {abs(lean):.2f} eye distances off the middle")
        self._check_windows(moved)
        return portrait

    def _by_detection(self, picture, notes) -> Portrait:
        if self._finder is None:
            self._finder = self._new_finder()
        first = best = None
        # a head upside down is found too, with eyes and mouth mixed up, if with less certainty: what is aligned has to
        # show the same face again, and where the mesh has doubts the other turns are tried too
        for quarters in (0, 2, 1, 3):
            turned = np.ascontiguousarray(np.rot90(picture, quarters))
            face = self._finder(turned, thorough=quarters == 0)
            if face is None:
                continue
            first = first or (turned, face)
            aligned, matrix = _fitted(turned, face)
            if self._found_again(aligned, align.moved(matrix, face.landmarks)) and (
                    best is None or 1 - face.score < 0.1 * (1 - best[1].score)):
                said = notes + ([f"turned by {90 * quarters} degrees"] if quarters else [])
                best = turned, face, aligned, matrix, said
                if face.score > SURE:
                    break
        if best is not None:
            return self._portrait(*best)
        if first is None:
            raise Rejected("no face found")
        self._portrait(*first, *_fitted(*first), notes)  # if there is a plainer reason, it is given
        raise Rejected("the face is not found again once it is aligned")

    def _found_again(self, aligned: np.ndarray, expected: Landmarks) -> bool:
        again = self._finder(aligned, thorough=False)
        return again is not None and all(np.hypot(*np.subtract(again.landmarks[p], expected[p])) <= MAX_DISAGREEMENT
                                         for p in expected)

    def _portrait(self, picture, face, aligned, matrix, notes) -> Portrait:
        """The filters, then what is kept."""
        if face.others:
            notes.append(f"{face.others + 1} faces, the largest taken")
        measures = {"yaw": round(face.yaw, 1), "pitch": round(face.pitch, 1), "eyes": round(face.eye_distance, 1)}
        self._check_size(face.landmarks)
        if abs(face.yaw) > self.options.max_yaw:
            raise Rejected(f"not frontal: turned by {abs(face.yaw):.0f} degrees, at most {self.options.max_yaw:g}")
        if abs(face.pitch - LEVEL_PITCH) > self.options.max_pitch:
            raise Rejected(f"not frontal: tilted by {abs(face.pitch - LEVEL_PITCH):.0f} degrees, "
                           f"at most {self.options.max_pitch:g}")
        _check_whole(face, picture.shape)
        moved = align.moved(matrix, face.landmarks)
        self._check_windows(moved, align.apply(matrix, face.mesh[:, :2]))
        outside = _outside(matrix, picture.shape)
        if outside > 0.25:
            notes.append(f"{outside:.0%} of the frame lies outside the photograph")
        return Portrait(aligned, moved, notes, measures, face.others + 1)

    def _check_size(self, landmarks: Landmarks) -> None:
        distance = float(np.hypot(*np.subtract(landmarks["right_eye"], landmarks["left_eye"])))
        if distance < self.options.min_eyes:
            raise Rejected(f"face too small: {distance:.0f} pixels between the eyes, at least "
                           f"{self.options.min_eyes:g}")

    @staticmethod
    def _check_windows(moved: Landmarks, mesh: Optional[np.ndarray] = None) -> None:
        """Rejected where eyes, nose or mouth miss their windows, as in grimaces and wrong detections."""
        from . import detect

        geometry = Geometry()
        groups = {"eye1": [moved["left_eye"]], "eye2": [moved["right_eye"]], "nose": [moved["nose"]],
                  "mouth": [moved["mouth_left"], moved["mouth_right"]]}
        if mesh is not None:
            groups = {"eye1": mesh[list(detect.LEFT_EYE)], "eye2": mesh[list(detect.RIGHT_EYE)],
                      "nose": mesh[[detect.NOSE_TIP, *detect.NOSE_WINGS]], "mouth": mesh[list(detect.LIPS)]}
        for part, points in groups.items():
            window = geometry.window(part)
            if not all(window.contains(x, y) for x, y in points):
                raise Rejected(f"{part} outside its window after alignment")
        off = align.eye_error(moved)
        if off > align.MAX_EYE_ERROR:
            raise Rejected(f"eyes {off:.0f} pixels off their place after alignment")

    def _person(self, face: np.ndarray) -> np.ndarray:
        if self._mask is None:
            from .detect import PersonMask

            self._mask = PersonMask()
        return self._mask(face)


def _fitted(picture: np.ndarray, face) -> Tuple[np.ndarray, np.ndarray]:
    try:
        return align.align(picture, face.landmarks)
    except ValueError as error:
        raise Rejected(str(error)) from None


def _check_whole(face, shape: Tuple[int, ...]) -> None:
    """Rejected where the photograph's edge cuts off part of the face: repeated border pixels would stand for it."""
    room = 0.05 * face.eye_distance
    x, y = face.mesh[:, 0], face.mesh[:, 1]
    away = (x < -room) | (y < -room) | (x > shape[1] - 1 + room) | (y > shape[0] - 1 + room)
    if away.mean() > MAX_CUT_OFF:
        raise Rejected(f"cut off: {away.mean():.0%} of the face lies outside the photograph")


def _outside(matrix: np.ndarray, shape: Tuple[int, ...]) -> float:
    """Share of the canonical frame that the photograph does not cover."""
    rows, columns = np.mgrid[0:RELEASE_CANVAS:16, 0:RELEASE_CANVAS:16]
    at = align.apply(align.invert(matrix), np.stack([columns.ravel(), rows.ravel()], 1))
    inside = (at >= -0.5).all(1) & (at[:, 0] < shape[1]) & (at[:, 1] < shape[0])
    return 1 - float(inside.mean())


def write_webp(path, picture: np.ndarray, quality: int = 95) -> np.ndarray:
    """Write a uint8 RGB picture as WebP, atomically; returns it as it will be read back."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).save(data, "WEBP", quality=quality, method=3)
    write_atomically(path, lambda temporary: temporary.write_bytes(data.getvalue()))
    return np.asarray(Image.open(data).convert("RGB"))


class PortraitJob:
    """What a worker process runs: photograph in, face written, and what the caller needs to go on.

    draw_lines: draw sketches of the style "lines" here too, with Jittor in this process; else the caller gets the face
    """

    def __init__(self, folder: str, options: Options, draw_lines: bool = False):
        cv2.setNumThreads(1)
        self.folder, self.maker = folder, PortraitMaker(options)
        self.sketcher = None
        if draw_lines:
            from .sketching import Sketcher

            self.sketcher = Sketcher("lines")

    def __call__(self, source: str, name: str, landmarks: Optional[Landmarks]) -> Dict:
        """{"face", "landmarks", "notes", "measures"[, "sketch"]}, or {"rejected": reason}."""
        try:
            portrait = self.maker.from_file(source, landmarks)
        except Rejected as reason:
            return {"rejected": str(reason)}
        return self.finish(portrait, name)

    def finish(self, portrait: Portrait, name: str) -> Dict:
        options = self.maker.options
        # sketches are drawn from the picture as stored: anyone can draw a set's sketches again from its faces
        face = write_webp(os.path.join(self.folder, "faces", f"{name}.webp"), portrait.face, options.quality)
        out = {"landmarks": portrait.landmarks, "notes": portrait.notes, "measures": portrait.measures}
        if options.sketch == "photocopy":
            from .sketching import photocopy

            out["sketch"] = photocopy(face)
        elif options.sketch == "lines" and self.sketcher is not None:
            out["sketch"] = self.sketcher(face)
        elif options.sketch == "lines":
            out["face"] = face
        return out


#: a face to start from may be smaller and turned further than one to train on (ours)
_TO_DRAW = Options(frame="detect", background="white", min_eyes=20, max_yaw=35, max_pitch=40)


#: grey levels between the darkest and the lightest of a face that can be drawn as it is (ours: of 202 generated
#: faces the hundredth part has less than 128)
_LEAST_RANGE = 110


class PhotographSketcher:
    """``PhotographSketcher(style)(path)``: a photograph to the drawings.Reading of its face's sketch.

    PictureError names a photograph without a usable face; ModelMissing says what to install.
    """

    def __init__(self, style: str = DEFAULT_STYLE):
        self.maker, self.sketcher = PortraitMaker(_TO_DRAW), Sketcher(style)

    def __call__(self, path) -> Reading:
        portrait, sketch = self._drawn(path)
        faces = [remark("largest", count=portrait.faces)] if portrait.faces > 1 else []
        return Reading(sketch, (), (*faces, *judge(sketch)))

    def face_and_sketch(self, path) -> Tuple[np.ndarray, np.ndarray]:
        """((512, 512, 3) uint8 RGB aligned face on white, (512, 512) uint8 sketch)."""
        portrait, sketch = self._drawn(path)
        return portrait.face, sketch

    def _drawn(self, path) -> Tuple[Portrait, np.ndarray]:
        try:
            portrait = self.maker.from_file(path)
            return portrait, self.sketcher(_lit(portrait.face))
        except (Rejected, PictureError) as reason:
            name = os.fspath(path)
            raise PictureError(str(reason) if name in str(reason) else f"{name}: {reason}") from None


def _lit(face: np.ndarray) -> np.ndarray:
    """An aligned face (512, 512, 3) uint8 with light and dark enough to be drawn, as if it had been lit: of a
    photograph that is very dark or pale only the outline would be."""
    inside = face[190:420, 140:372]  # eyes to mouth
    low, high = (float(v) for v in np.quantile(inside, (0.02, 0.98)))
    if high - low >= _LEAST_RANGE or high - low < 4:
        return face
    background = (face == 255).all(2, keepdims=True)
    lit = 30 + (face.astype(np.float32) - low) * (200 / (high - low))
    return np.where(background, 255, np.clip(lit, 0, 255)).astype(np.uint8)


class Process:
    """What the drawing window asks a process of its own (``jt_dfd.child``)."""

    def sketch(self, photograph: str, target: str, style: str) -> None:
        """The sketch of a photograph's face as the PNG ``target``.  ``lines`` runs a network under Jittor, on the CPU;
        ``photocopy`` and ``drawn`` do not touch it."""
        if style == "lines":
            from .. import runtime

            runtime.start("cpu")
        write_png(target, PhotographSketcher(style).face_and_sketch(photograph)[1])
