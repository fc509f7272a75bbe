"""Installation:  pip install -e .   (tools/quickstart.sh and tools/test.sh do it in a virtual environment)"""
import os
import re

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    with open(os.path.join(HERE, name), encoding="utf8") as f:
        return f.read()


# read, not imported: the package's own dependencies are not there yet
VERSION = re.search(r'^__version__ = "([^"]+)"', read("jt_dfd/__init__.py"), re.M).group(1)
README = read("README.md") if os.path.exists(os.path.join(HERE, "README.md")) else ""

REQUIRES = [
    # Jittor itself is not here: it asks for numpy below 2, which has no wheels for Python 3.13 and would take the place
    # of the numpy 2 of whoever has one.  jt_dfd/runtime/jittor_copy.py takes the one that is installed, or fetches it
    "astunparse",              # Jittor's own needs
    "numpy<3",
    "pillow",
    "tqdm",
    "opencv-python",
    "PyQt5",
    # oneDNN 2.6 for Jittor's convolutions on the CPU, which would otherwise be downloaded from its own host
    "onednn-cpu-gomp==2022.2.1; sys_platform=='linux' and platform_machine=='x86_64'",
    "onednn-devel-cpu-gomp==2022.2.1; sys_platform=='linux' and platform_machine=='x86_64'",
]
EXTRAS = {
    # the converter only; never in a process that runs Jittor
    "torch": ["torch>=2.0", "safetensors", "onnx", "onnxruntime"],
    # preparing photographs; tools/install_data_extras.sh adds the wheels that must come without their dependencies
    "data": ["h5py>=3.8", "openvino>=2024.4", "ai-edge-litert>=1.2; python_version>='3.9'"],
    # TensorBoard events of the trainers; stlpips-pytorch (its VGG16 for the perceptual loss) must come with --no-deps
    "train": ["tensorboardX"],
    "wandb": ["wandb"],
    "heic": ["pillow-heif"],   # photographs as iPhones store them
    "test": ["pytest", "pytest-qt", "hypothesis", "ruff>=0.6,<0.18", "basedpyright==1.40.*; python_version>='3.10'"],
}

setup(
    name="jt_dfd",
    version=VERSION,
    description="DeepFaceDrawing in Jittor: a rough face sketch becomes a photograph of a face",
    long_description=README,
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.8,<3.15",
    packages=find_packages(include=["jt_dfd", "jt_dfd.*"]),
    package_data={"jt_dfd": ["py.typed", "runtime/cuda_headers/*", "gui/*.png", "gui/languages/*.json",
                             "gui/examples/*.svg", "data/*.json", "data/*.npz"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["jt-dfd = jt_dfd.__main__:main"]},
    zip_safe=False,
    classifiers=[
        "Programming Language :: Python :: 3",
        "Operating System :: POSIX :: Linux",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
