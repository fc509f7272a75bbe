"""A head made of ellipses, with the mesh that a face network would find on it: the truth is known to the pixel."""
import cv2
import numpy as np

from jt_dfd.data import hair, outlines

SKIN, HAIR, CLOTH = (224, 172, 140), (70, 45, 30), (40, 70, 160)
FACE = (256, 300), (118, 150)


def head(kind="short"):
    """(photograph, labels, mask, mesh, eyes) of a head with hair that is short, long, a fringe, or bald."""
    labels = np.zeros((512, 512), np.uint8)
    cv2.ellipse(labels, (256, 560), (230, 110), 0, 0, 360, hair.CLOTH, -1)
    cv2.rectangle(labels, (206, 400), (306, 480), hair.SKIN, -1)
    if kind != "bald":
        cv2.ellipse(labels, (256, 255), (150, 185), 0, 180, 360, hair.HAIR, -1)
        foot = 470 if kind == "long" else 290
        cv2.rectangle(labels, (106, 255), (406, foot), hair.HAIR, -1)
        cv2.rectangle(labels, (206, 400), (306, 480), hair.SKIN, -1)
    cv2.ellipse(labels, *FACE, 0, 0, 360, hair.SKIN, -1)
    if kind == "bald":
        cv2.ellipse(labels, (256, 255), (122, 160), 0, 180, 360, hair.SKIN, -1)
    hairline = {"short": 185, "long": 185, "fringe": 208}.get(kind, 0)
    if hairline:
        top = np.zeros_like(labels)
        cv2.ellipse(top, *FACE, 0, 0, 360, 1, -1)
        top[hairline:] = 0
        labels[top != 0] = hair.HAIR
    colours = np.array([(255, 255, 255), SKIN, HAIR, CLOTH], np.float32)[labels]
    noise = np.random.default_rng(5).normal(0, 5, labels.shape)[:, :, None]
    photo = np.clip(cv2.GaussianBlur(colours, (0, 0), 1.0) + noise, 0, 255).astype(np.uint8)
    mesh, eyes = _mesh()
    return photo, labels, (labels != 0).astype(np.float32), mesh, eyes


def curves(kind="short", glasses=False):
    photo, _, mask, mesh, eyes = head(kind)
    return outlines.face_curves(photo, mesh, mask, eyes, glasses)


def _mesh():
    """(468, 2): the points that are used are where they belong, the others in the face's middle."""
    mesh = np.tile(np.float32([256, 320]), (468, 1))
    (x, y), (a, b) = FACE
    around = np.linspace(0, 2 * np.pi, len(hair.OVAL), endpoint=False)
    mesh[list(hair.OVAL)] = np.stack([x + a * np.sin(around), y - b * np.cos(around)], 1)

    def row(points, x0, x1, level, bend=0.0):
        t = np.linspace(0, 1, len(points))
        mesh[list(points)] = np.stack([x0 + (x1 - x0) * t, level + bend * (4 * t * (1 - t))], 1)

    for left, side in ((True, -1), (False, 1)):
        inner, outer = 256 + side * 35, 256 + side * 92
        upper, lower = outlines._BROWS["brow_left" if left else "brow_right"]
        row(upper, outer, inner, 222, -8)
        row(lower, outer, inner, 232, -6)
        row(outlines._MESH["fold_left" if left else "fold_right"], outer, inner, 243, -12)
        row(outlines._MESH["bridge_left" if left else "bridge_right"], 256 + side * 14, 256 + side * 12, 240)
        mesh[list(outlines._MESH["bridge_left" if left else "bridge_right"]), 1] = np.linspace(240, 320, 7)
        corners = outlines._CORNERS["left" if left else "right"]
        mesh[list(corners)] = [(outer + side * -3, 250), (inner + side * 3, 250)]
        row(outlines._CHEEKS["cheek_left" if left else "cheek_right"], 256 + side * 40, 256 + side * 60, 340)
    row(outlines._MESH["nose"], 225, 287, 325, 14)
    for points, x0 in zip(outlines._NOSTRILS, (236, 262)):
        row(points, x0, x0 + 14, 334, -3)
    row(outlines._MESH["lips_upper"], 206, 306, 378, -12)
    row(outlines._MESH["lips_lower"], 206, 306, 378, 18)
    mesh[[200, 199, 175]] = [(256, 410), (256, 422), (256, 436)]
    mesh[[164, 167, 393]] = [(256, 353), (244, 354), (268, 354)]
    row(outlines._MESH["mouth_upper"], 214, 298, 378, 0)
    row(outlines._MESH["mouth_lower"], 214, 298, 378, 1)
    eyes = {}
    for side, middle in (("left", 192), ("right", 320)):
        away = -1 if side == "left" else 1
        t = np.linspace(0, 1, 9)
        lower = np.stack([middle + away * 28 * (1 - 2 * t), 250 + 9 * np.sin(np.pi * t)], 1)
        upper = np.stack([middle + away * 28 * (1 - 2 * t), 250 - 11 * np.sin(np.pi * t)], 1)[1:-1]
        iris = np.array([(0, 0), (10, 0), (0, -10), (-10, 0), (0, 10)]) + (middle, 249)
        eyes[side] = np.concatenate([lower, upper, iris])
    return mesh, eyes
