"""Where on the page the drawing is: frames and edges off, a square round it, down to the canvas.  Numbers are ours."""
from __future__ import annotations

from typing import List, Optional, Tuple

import cv2
import numpy as np

from .paper import small
from .words import Remark, remark

#: sides of a page that differ by no more than this are a square, squeezed as the release does it
SQUARE = 0.02
#: what a drawing takes up of its square: a head, and a bust, which is wider than 0.8 of its height (ours: medians of
#: the authors' and our test drawings, and of 60 drawn by hand.py and 60 of lines)
_HEAD, _BUST, _WIDE = 0.80, 0.98, 0.8
#: where the middle of a head and of a bust lies in its square
_MIDDLE_OF_HEAD, _MIDDLE_OF_BUST = (0.49, 0.47), (0.5, 0.5)
#: sizes of a face that are looked for in a square of about the right size
_SIZES = np.geomspace(0.84, 1.19, 11)
#: sizes that are looked for where the page's short side is taken for the square's: a drawing may leave margins
_SMALLER, _SAME = np.geomspace(0.7, 1.06, 13), 0.93
#: how much of a sheet's sides is left out, in pixels of the small picture
_RIM = 3
#: how many times as long as the side across it a sheet's side is at most, farther away (of faces 2 and more were found)
_TAPER = 1.8
#: share of a page's rim that is ink at most in a drawing
_RIM_INK = 0.25
#: focal length in longer sides of the picture, as phones have it
_FOCAL = 0.78
#: how far a drawing may lie off, of the square's side, for the middle or an end of the page to be meant
_OFF = 0.07
#: cubic sampling may differ from averages over areas by this share of the ink; above it lines are lost
_LOST = 0.35
#: strokes that come out less black than this after shrinking are too thin
_THIN = 0.75
#: width in canvas pixels that they are brought to: what the networks were trained on
_PEN = 2.0


def ink_box(page: np.ndarray) -> Optional[Tuple[int, int, int, int]]:
    """(left, top, right, bottom) of what is darker than middle grey, right and bottom excluded; None for nothing."""
    dark = page < 150
    columns, rows = np.flatnonzero(dark.any(0)), np.flatnonzero(dark.any(1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def without_frame(page: np.ndarray, notes: List[Remark], clean: bool) -> np.ndarray:
    """The page without a frame drawn around the drawing: four straight sides that enclose everything else.  Where the
    frame is much smaller than the page, what it encloses is the page from here on."""
    height, width = page.shape
    dark = (page < 150).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    order = np.argsort(stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT])[::-1][:3] + 1
    for label in order:
        x, y, w, h, area = (int(v) for v in stats[label])
        if w < 0.5 * width or h < 0.5 * height:
            continue
        part = labels[y:y + h, x:x + w] == label
        band = max(2, round(0.015 * max(w, h)))
        sides = (part[:band].any(0).mean(), part[-band:].any(0).mean(), part[:, :band].any(1).mean(),
                 part[:, -band:].any(1).mean())
        if min(sides) < 0.97:
            continue
        thick = _frame_width(part)
        if thick is None or thick > 0.06 * max(w, h):
            continue
        x0, y0, x1, y1 = x + thick, y + thick, x + w - thick, y + h - thick
        outside = dark.copy()
        outside[y:y + h, x:x + w] = 0
        if outside.sum() > 0.25 * dark[y0:y1, x0:x1].sum():
            continue
        notes.append(remark("frame"))
        out = np.full_like(page, 255)
        out[y0:y1, x0:x1] = page[y0:y1, x0:x1]
        if x1 - x0 < 0.85 * width or y1 - y0 < 0.85 * height:
            out = np.ascontiguousarray(out[y:y + h, x:x + w])
        return without_frame(out, [], True)  # it may be a double line
    return page if clean else _without_edges(page, notes)


def _frame_width(part: np.ndarray) -> Optional[int]:
    """Pixels from the frame's outside to where its straight sides end on the inside."""
    height, width = part.shape
    out = 0
    for side in (part, part[::-1], part.T, part.T[::-1]):
        cover = side[:max(3, len(side) // 10)].mean(1)
        inner = np.flatnonzero(cover > 0.5)
        if not len(inner):
            return None
        out = max(out, int(inner[-1]) + 2)
    return out


def _without_edges(page: np.ndarray, notes: List[Remark]) -> np.ndarray:
    """Bands along the picture's own edge go: a scanner's rim.  Rows and columns that are mostly dark, from the edge on,
    and end within a twenty-fifth of the page: what goes on is drawn, as hair that reaches the edge."""
    out = page.copy()
    for side in (out, out[::-1], out.T, out.T[::-1]):
        depth = max(2, round(0.04 * len(side)))
        dark = np.flatnonzero((side[:depth] < 150).mean(1) > 0.5)
        if len(dark) and dark[-1] + 1 < depth:
            side[:dark[-1] + 3] = 255
    if np.array_equal(out, page):
        return page
    notes.append(remark("edge"))
    return out


def canvas(pixels: np.ndarray) -> Optional[Tuple[int, int, int, int]]:
    """(left, top, right, bottom) of a white page inside something that is not white and ends at straight sides, as a
    window around it or bars beside it; None where the picture's own edge is paper.  pixels: (H, W) or (H, W, 3)
    uint8."""
    light = pixels if pixels.ndim == 2 else pixels.min(2)
    if min(light.shape) < 96 or all((side >= 250).mean() > 0.1
                                    for side in (light[0], light[-1], light[:, 0], light[:, -1])):
        return None
    white = (light >= 250).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(white, connectivity=4)
    x, y, w, h, _ = ((int(v) for v in stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))])
                     if len(stats) > 1 else [0] * 5)
    if min(w, h) < 64 or w * h < 0.1 * white.size or w * h == white.size:
        return None
    height, width = white.shape
    inside = white[y:y + h, x:x + w]
    for beyond, within in ((white[max(0, y - 2):y, x:x + w], inside[:3]),
                           (white[y + h:y + h + 2, x:x + w], inside[-3:]),
                           (white[y:y + h, max(0, x - 2):x], inside[:, :3]),
                           (white[y:y + h, x + w:x + w + 2], inside[:, -3:])):
        if beyond.size and (beyond.mean() > 0.1 or within.mean() < 0.6):
            return None
    return x, y, x + w, y + h


def sheet(pixels: np.ndarray, light: np.ndarray) -> Optional[np.ndarray]:
    """What lies on a sheet of paper, upright again, where ``pixels`` (H, W) or (H, W, 3) show one on something else;
    None where there is none.

    light: (H, W) float32, 0 to 255, in which the sheet is brighter.  It is a bright area of four straight sides, a
    fifth to nine tenths of the picture; each side is a sharp step or the picture's own edge, and two are steps.
    """
    little = small(light, 256)
    _, bright = cv2.threshold(cv2.medianBlur(np.round(little).astype(np.uint8), 5), 0, 1, cv2.THRESH_OTSU)
    bright = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    for apart in (1, 13, 31):  # a pencil across a side, a finger on a corner are taken off
        corners = _corners(cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((apart, apart), np.uint8)))
        if corners is not None and _steps(little, corners):
            break
    else:
        return None
    corners = corners[np.argsort(np.arctan2(*(corners - corners.mean(0)).T[::-1]))].astype(np.float32)
    corners = np.roll(corners, -int(np.argmin(corners.sum(1))), 0)  # from the upper left one on, clockwise
    # a little inside, but at the picture's own edges
    height, width = little.shape
    inwards = np.sign(corners.mean(0) - corners) * _RIM
    at_edge = np.stack([(corners[:, 0] < 2) | (corners[:, 0] > width - 3),
                        (corners[:, 1] < 2) | (corners[:, 1] > height - 3)], 1)
    corners = (corners + np.where(at_edge, 0, inwards)) * (max(light.shape) / max(little.shape))
    sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    h = round(float(sides[1] + sides[3]) / 2)
    w = round(h * _aspect(corners - np.array(light.shape[::-1]) / 2, _FOCAL * max(light.shape)))
    if np.abs(corners - corners.mean(0)).std(0).max() < 0.006 * max(w, h):  # upright: no pixel is mixed
        (x0, y0), (x1, y1) = np.round(corners.min(0)).astype(int), np.round(corners.max(0)).astype(int)
        return np.ascontiguousarray(pixels[y0:y1 + 1, x0:x1 + 1])
    onto = np.array([(0, 0), (w - 1, 0), (w - 1, h - 1), (0, h - 1)], np.float32)
    return cv2.warpPerspective(pixels, cv2.getPerspectiveTransform(corners, onto), (w, h), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)


def _corners(bright: np.ndarray) -> Optional[np.ndarray]:
    """(4, 2) float32, where the sides of the largest bright area meet, of (H, W) uint8; None where it is no sheet.

    Its four longest sides count, and what lies over a corner does not; else those of the polygon of four corners.
    """
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    largest = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(largest)
    area, length = cv2.contourArea(hull), cv2.arcLength(hull, True)
    if not 0.2 * bright.size < area < 0.92 * bright.size or area > 1.1 * cv2.contourArea(largest):
        return None
    coarser = [cv2.approxPolyDP(hull, part * length, True)[:, 0].astype(np.float32)
               for part in np.linspace(0.01, 0.06, 11)]
    beyond = bright.shape[1] + 1, bright.shape[0] + 1
    tries = [_longest_sides(coarser[0]), *(corners for corners in coarser if len(corners) == 4)]
    for corners in tries:
        if corners is not None and (corners > -2).all() and (corners < beyond).all():
            sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
            shared, _ = cv2.intersectConvexConvex(corners, hull.astype(np.float32))
            if (shared > 0.93 * max(area, cv2.contourArea(corners))
                    and max(*(sides[:2] / sides[2:]), *(sides[2:] / sides[:2])) < _TAPER):
                return corners
    return None


def _longest_sides(polygon: np.ndarray) -> Optional[np.ndarray]:
    """(4, 2) float32, where the four longest sides of a convex polygon (N, 2) meet, in its order; None where they meet
    far away or it has fewer."""
    ends = np.roll(polygon, -1, 0)
    if len(polygon) < 4:
        return None
    sides = np.sort(np.argsort(np.linalg.norm(ends - polygon, axis=1))[-4:])
    ones = np.ones((4, 1))
    lines = np.cross(np.hstack([polygon[sides], ones]), np.hstack([ends[sides], ones]))
    meet = np.cross(np.roll(lines, 1, 0), lines)
    if (np.abs(meet[:, 2]) < 1e-3 * np.abs(meet[:, :2]).max(1)).any():
        return None
    return (meet[:, :2] / meet[:, 2:]).astype(np.float32)


def _aspect(corners: np.ndarray, focal: float) -> float:
    """Width over height of the rectangle that a camera saw with these corners (4, 2), measured from the picture's
    middle, the focal length in the same pixels (Zhang and He 2007, "Whiteboard scanning and image enhancement")."""
    a, b, d, c = np.concatenate([corners / focal, np.ones((4, 1))], 1)  # upper left and right, lower right and left
    right = np.cross(a, d) @ c / (np.cross(b, d) @ c) * b - a
    down = np.cross(a, d) @ b / (np.cross(c, d) @ b) * c - a
    return float(np.linalg.norm(right) / np.linalg.norm(down))


def _steps(little: np.ndarray, corners: np.ndarray) -> bool:
    """Are the sides of a sheet sharp steps, two of them at least, or the picture's edge?"""
    height, width = little.shape
    steps = 0
    for a, b in zip(corners.astype(float), np.roll(corners, -1, 0).astype(float)):
        normal = np.array([b[1] - a[1], a[0] - b[0]]) / max(1.0, float(np.linalg.norm(b - a)))
        normal *= np.sign(normal @ ((a + b) / 2 - corners.mean(0))) or 1.0
        line = a + (b - a) * np.linspace(0.1, 0.9, 60)[:, None]
        if ((line + 3 * normal < 0) | (line + 3 * normal > (width - 1, height - 1))).any(1).mean() > 0.5:
            continue
        inside, outside = (np.clip(np.round(line + off * normal).astype(int), 0, (width - 1, height - 1)).T[::-1]
                           for off in (-5, 5))
        if float(np.median(little[tuple(inside)])) <= 1.25 * float(np.median(little[tuple(outside)])):
            return False
        steps += 1
    return steps >= 2


def without_things_beside(page: np.ndarray, notes: List[Remark]) -> np.ndarray:
    """Things well outside the drawing go: a page number, a word, a date, a pencil that lies there.

    Ink closer than a twentieth of the page belongs together.  The drawing is what has the most ink of all that is no
    solid thing at the page's edge.  What lies wholly outside it is beside it where it is less than an eighth as large
    in both directions, or at its left or right less than a third, or drawn much thicker, as no stroke is.
    """
    height, width = page.shape
    reach = max(3, round(0.04 * min(height, width))) | 1
    scale = max(1, max(height, width) // 512)
    dark = (page < 150).astype(np.uint8)
    # any ink counts: an average would round thin strokes away
    little = dark[:height // scale * scale, :width // scale * scale].reshape(
        height // scale, scale, width // scale, scale).max((1, 3))
    small_reach = max(3, reach // scale) | 1
    joined = cv2.dilate(little, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (small_reach, small_reach)))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    if count <= 2:
        return page
    groups = labels * little
    sizes = np.bincount(groups.reshape(-1), minlength=count)
    depth = cv2.distanceTransform(cv2.copyMakeBorder(little, 1, 1, 1, 1, cv2.BORDER_REPLICATE), cv2.DIST_L2, 3)
    depth = depth[1:-1, 1:-1]
    parts = []
    for label in range(1, count):
        rows, columns = np.nonzero(groups == label)
        if len(rows):
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            at_edge = min(box[:2]) == 0 or box[2] == little.shape[1] or box[3] == little.shape[0]
            thick = float(np.quantile(depth[rows, columns], 0.75))
            half = max(box[2] - box[0], box[3] - box[1]) < 0.5 * max(little.shape)
            solid = at_edge and half and thick > 0.02 * max(little.shape)
            parts.append((label, box, thick, solid))
    if all(part[3] for part in parts):
        return page
    main, (mx0, my0, mx1, my1), pen, _ = max((p for p in parts if not p[3]), key=lambda p: sizes[p[0]])
    drawing = {main}  # and what reaches into its box, as a chin that stands by itself
    for _ in parts:
        for label, (x0, y0, x1, y1), _, solid in parts:
            if not solid and x0 < mx1 and x1 > mx0 and y0 < my1 and y1 > my0:
                drawing.add(label)
                mx0, my0, mx1, my1 = min(x0, mx0), min(y0, my0), max(x1, mx1), max(y1, my1)
    span, ink = max(mx1 - mx0, my1 - my0), sum(sizes[label] for label in drawing)
    rest = sum(sizes[label] for label, _, _, solid in parts if not solid)
    if min(mx1 - mx0, my1 - my0) < 0.5 * span or ink < 0.6 * rest:  # its neighbours may be other parts
        if ink < 0.6 * rest:
            notes.append(remark("crowded"))
        return page
    drop = []
    for label, (x0, y0, x1, y1), thick, solid in parts:
        aside = x1 <= mx0 or x0 >= mx1
        few = sizes[label] < (0.33 if aside else 0.2) * ink
        thin = min(x1 - x0, y1 - y0) < (0.33 if aside else 0.12) * span
        if label not in drawing and (solid or thin and (few or thick > max(3.0, 2.5 * pen))):
            drop.append(label)
    if rest - ink - sum(sizes[label] for label in drop) > 0.25 * ink:
        notes.append(remark("crowded"))
    if not drop:
        return page
    notes.append(remark("beside"))
    gone = np.isin(labels, drop).astype(np.uint8)
    gone = cv2.resize(gone, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return np.where(gone, 255, page).astype(np.uint8)


def is_drawn_to_the_edge(page: np.ndarray) -> bool:
    """Is much of the page's rim ink, as where a desk around the paper was taken for drawn?  Hair reaches some of it."""
    depth = max(2, round(0.02 * min(page.shape)))
    rim = np.concatenate([side[:depth].reshape(-1) for side in (page, page[::-1], page.T, page.T[::-1])])
    return float((rim < 150).mean()) > _RIM_INK


def square(page: np.ndarray, notes: List[Remark], whole: bool = False) -> np.ndarray:
    """The square of the page that holds the drawing; white where it reaches beyond the page.

    A square page is its own, but for a small drawing in a corner of it.  Otherwise the drawing decides: its size, and
    where a face is seen in it.  ``whole``: pad the page instead (a photograph).
    """
    height, width = page.shape
    longer, shorter = max(height, width), min(height, width)
    box = ink_box(page)
    tiny_off_place = box is not None and _is_small_and_off(box, page.shape)
    if (longer - shorter) <= SQUARE * longer and not tiny_off_place:
        return page
    if whole or box is None:
        notes.append(remark("square"))
        return cut(page, (width - longer) // 2, (height - longer) // 2, longer)
    left, top, side, guessed = _square_round(page, box)
    notes.append(remark("guessed" if guessed else "square"))
    return cut(page, left, top, side)


def _is_small_and_off(box, shape) -> bool:
    """Is a drawing on a square page in a corner of it, where no part of a face belongs?"""
    height, width = shape
    x0, y0, x1, y1 = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    middle = abs((x0 + x1) / 2 - 0.5), abs((y0 + y1) / 2 - 0.5)
    enough = min(x1 - x0, y1 - y0) > 0.08
    return min(height, width) > 512 and enough and max(x1 - x0, y1 - y0) < 0.45 and max(middle) > 0.2


def _square_round(page: np.ndarray, box) -> Tuple[int, int, int, bool]:
    """(left, top, side) of the square in which a drawing with that box was drawn, as far as can be known, and whether
    its size is a guess.

    The page's short side is its side where the drawing fills that about as drawings do, and no smaller face is seen in
    it; else what such a drawing takes up of its square decides, then the size of the face seen in it (place.find).  It
    lies so that this face is where faces are, or by its middle; where that is nearly in the middle or at an end of the
    page, exactly there.
    """
    from .place import find

    height, width = page.shape
    x0, y0, x1, y1 = box
    span, shorter = max(x1 - x0, y1 - y0), min(width, height)
    bust = x1 - x0 > _WIDE * (y1 - y0)
    share, middle = (_BUST, _MIDDLE_OF_BUST) if bust else (_HEAD, _MIDDLE_OF_HEAD)
    own = not 0.88 * share <= span / shorter <= 1
    side = round(span / share) if own else shorter
    at = [(x0 + x1) / 2 - middle[0] * side, (y0 + y1) / 2 - middle[1] * side]
    little = cv2.resize(cut(page, round(at[0]), round(at[1]), side), (512, 512), interpolation=cv2.INTER_AREA)
    sizes = _SIZES if own else _SMALLER
    found = find(little, sizes, sure=not own)
    certain = not own and found is not None and found[0] > _SAME
    if not own and found is not None and sizes[0] < found[0] <= _SAME:
        own = True  # it has margins
    elif not own:
        found = None
    if found is None or not sizes[0] < found[0] < sizes[-1]:  # a face of another size: its place alone
        found = find(little)
    if found is not None and np.abs(found[2] @ (256, 256, 1) - 256).max() < 0.12 * 512:
        at = [v + shift * side / 512 for v, shift in zip(at, found[2][:, 2])]
        side = round(side * found[0])
    if not own:
        for axis, (length, low, high) in enumerate(((width, x0, x1), (height, y0, y1))):
            ends = [end for end in ((length - side) // 2, 0, length - side)
                    if end <= low and high <= end + side and abs(at[axis] - end) <= _OFF * side]
            at[axis] = ends[0] if ends else np.clip(at[axis], high - side, low)
    return round(at[0]), round(at[1]), side, not certain


def cut(page: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """The (side, side) square of a page from (left, top) on, white beyond the page."""
    height, width = page.shape
    out = np.full((side, side), 255, np.uint8)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x1 > x0 and y1 > y0:
        out[y0 - top:y1 - top, x0 - left:x1 - left] = page[y0:y1, x0:x1]
    return out


def to_canvas(page: np.ndarray, notes: List[Remark], edge: int = 512) -> np.ndarray:
    """A square page (or one within SQUARE of it) as (edge, edge): by cubic sampling as the release does wherever that
    keeps the lines; else by area, and lines that would come out grey are first thickened to the pen's width."""
    if page.shape == (edge, edge):
        return page
    sampled = cv2.resize(page, (edge, edge), interpolation=cv2.INTER_CUBIC)
    factor = min(page.shape) / edge
    if factor <= 1:
        return sampled
    averaged = cv2.resize(page, (edge, edge), interpolation=cv2.INTER_AREA)
    total = float((255 - averaged.astype(np.float32)).sum())
    if total <= 0:
        return sampled
    lost = float(np.abs(sampled.astype(np.float32) - averaged).sum()) / total
    ink = 1 - averaged.astype(np.float32) / 255
    top = cv2.dilate(ink, np.ones((3, 3), np.uint8))
    cores = ink[(ink >= top) & (ink > 0.06)]
    deepest = float((255 - page).max()) / 255
    if lost < _LOST and not (len(cores) and np.median(cores) < 0.5 * deepest):
        return sampled
    if len(cores) and float(np.median(cores)) < _THIN * deepest:
        width = _stroke_width(page)
        more = int(round(_PEN * factor - width))
        if more > 0:
            notes.append(remark("thin"))
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (more + 1, more + 1))
            return cv2.resize(cv2.erode(page, kernel), (edge, edge), interpolation=cv2.INTER_AREA)
    notes.append(remark("area"))
    return averaged


def _stroke_width(page: np.ndarray) -> float:
    """Mean width of the strokes in pixels: their area over their length."""
    dark = (page < 128).astype(np.uint8)
    area = float(dark.sum())
    longer = (float(cv2.dilate(dark, np.ones((3, 3), np.uint8)).sum()) - area) / 2
    return area / longer if longer > 0 else 1.0


def softness(page: np.ndarray) -> float:
    """How wide the edges of a page's strokes are in pixels: the median of their contrast over their slope; 0 where
    there are none.  A Gaussian of s pixels makes it 1.5 + 1.3 s."""
    ink = 1 - page.astype(np.float32) / 255
    slope = np.maximum(*(np.abs(cv2.Sobel(ink, cv2.CV_32F, x, 1 - x, ksize=3)) for x in (0, 1))) / 8
    nine = np.ones((9, 9), np.uint8)
    contrast = cv2.dilate(ink, nine) - cv2.erode(ink, nine)
    edge = (slope >= cv2.dilate(slope, np.ones((3, 3), np.uint8))) & (contrast > 0.3) & (slope > 0.03)
    return float(np.median(contrast[edge] / slope[edge])) if edge.sum() > 20 else 0.0
