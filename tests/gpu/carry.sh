#!/usr/bin/env bash
# Fetches what a machine without a network needs besides CUDA's compiler and PyTorch's libraries; for run_all.sh:
#
#   bash tests/gpu/carry.sh [FOLDER] [PYTHON_VERSION]        default: .whl 3.12
##
# and prints the list with its sizes.  README.md beside this says what each is for.  JT_DFD_CARRY_ONEDNN=0 leaves out
# the largest, at the price of the full-size comparison with the CPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder="${1:-.whl}" version="${2:-3.12}"
python="${JT_DFD_PYTHON:-.venv/bin/python}"
[ -x "$python" ] || python=python3
mkdir -p "$folder"

platforms=()
for glibc in 2_28 2_27 2_24 2_17 2_5; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
for name in manylinux2014 manylinux1; do platforms+=(--platform "${name}_x86_64"); done
packages=(numpy==1.26.4 astunparse==1.6.3)
[ "${JT_DFD_CARRY_ONEDNN:-1}" = 0 ] || packages+=(onednn-cpu-gomp==2022.2.1 onednn-devel-cpu-gomp==2022.2.1)
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version "$version" --implementation cp \
    "${platforms[@]}" -d "$folder" "${packages[@]}"
# Jittor comes as a source archive whose wheel is the same for every Python
"$python" -m pip wheel -q --no-deps -w "$folder" "jittor==1.3.11.0"

# Python.h, should the machine have none: of any release of that version that is here
for include in $(compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version.*/include/python$version" || true) \
    "/usr/include/python$version" "/usr/local/include/python$version"; do
    [ -f "$include/Python.h" ] || continue
    tar -C "$(dirname "$include")" -czf "$folder/python$version-include.tar.gz" "python$version"
    break
done
ls -l "$folder" | awk 'NR > 1 { printf "%8.2f MiB  %s\n", $5 / 2 ^ 20, $NF; all += $5 }
                       END { printf "%8.2f MiB  in all\n", all / 2 ^ 20 }'
