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
    "jittor>=1.3.11,<1.4",
    "numpy<2",                 # with numpy 2 Jittor computes garbage without a word
    "pillow",
    "opencv-python<4.12",      # 4.12 asks for numpy 2
    "PyQt5",
    "tqdm",
    # oneDNN 2.6 for Jittor's convolutions on the CPU, which would otherwise be downloaded from its own host
    "onednn-cpu-gomp==2022.2.1; sys_platform=='linux' and platform_machine=='x86_64'",
    "onednn-devel-cpu-gomp==2022.2.1; sys_platform=='linux' and platform_machine=='x86_64'",
]
EXTRAS = {
    # the converter only; never in a process that runs Jittor.  ml_dtypes 0.6, which onnx would take, wants numpy 2
    "torch": ["torch>=2.0", "safetensors", "onnx", "onnxruntime", "ml_dtypes<0.6"],
    # preparing photographs; tools/install_data_extras.sh adds the wheels that must come without their dependencies
    "data": ["h5py>=3.8", "openvino>=2024.4", "ai-edge-litert>=1.2; python_version>='3.9'", "ml_dtypes<0.6"],
    # TensorBoard events of the trainers; stlpips-pytorch (its VGG16 for the perceptual loss) must come with --no-deps
    "train": ["tensorboardX"],
    "heic": ["pillow-heif"],   # photographs as iPhones store them
    "test": ["pytest", "pytest-qt", "hypothesis"],
}

setup(
    name="jt_dfd",
    version=VERSION,
    description="DeepFaceDrawing in Jittor: a rough face sketch becomes a photograph of a face",
    long_description=README,
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.8,<3.13",
    packages=find_packages(include=["jt_dfd", "jt_dfd.*"]),
    package_data={"jt_dfd": ["runtime/cuda_headers/*", "gui/*.png", "gui/languages/*.json", "gui/examples/*.svg", "data/*.json", "data/*.npz"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    zip_safe=False,
    classifiers=[
        "Programming Language :: Python :: 3",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
