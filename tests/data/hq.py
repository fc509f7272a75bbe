"""CelebAMask-HQ's own layout, made small from generated faces."""
from pathlib import Path

import cv2
import numpy as np

from jt_dfd.pictures import read_picture, write_png

ATTRIBUTES = ("Bangs", "Eyeglasses", "Male", "Smiling", "Wearing_Hat")


def celebamask_hq(folder, numbers=(0, 1, 2, 3, 4, 5, 6, 2001)):
    """The eight sample faces under these numbers.  2 has glasses, 3 a hat, 4 looks aside, 5 has a mask of glasses, and
    6 no masks at all; the others are fit to be trained on, odd ones male."""
    faces = sorted((Path(__file__).parent / "samples/faces").iterdir())
    attributes, poses = ["8", " ".join(ATTRIBUTES)], ["8", "Yaw Pitch Raw"]
    (folder / "CelebA-HQ-img").mkdir(parents=True)
    for face, number in zip(faces, numbers):
        picture = cv2.resize(read_picture(face), (1024, 1024))
        cv2.imwrite(str(folder / f"CelebA-HQ-img/{number}.jpg"), picture[:, :, ::-1])
        facts = {"Male": number % 2 == 1, "Eyeglasses": number == 2, "Wearing_Hat": number == 3}
        attributes.append(f"{number}.jpg  " + " ".join("1" if facts.get(a) else "-1" for a in ATTRIBUTES))
        poses.append(f"{number}.jpg {-31.5 if number == 4 else 3.25} 2.0 -1.5")
        masks = folder / f"CelebAMask-HQ-mask-anno/{number // 2000}"
        for part, centre, size in (("skin", (256, 300), 150), ("hair", (256, 160), 120), ("cloth", (256, 480), 110),
                                   *([("eye_g", (256, 240), 60)] if number == 5 else [])):
            mask = np.zeros((512, 512, 3), np.uint8)
            cv2.circle(mask, centre, size, (255,) * 3, -1)
            if number != 6:
                write_png(masks / f"{number:05d}_{part}.png", mask)
    (folder / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(attributes) + "\n")
    (folder / "CelebAMask-HQ-pose-anno.txt").write_text("\n".join(poses) + "\n")
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx orig_idx orig_file\n0 119613 119614.jpg\n")
    return folder
