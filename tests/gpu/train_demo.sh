#!/usr/bin/env bash
# The demo weights trained on a GPU, in pieces of at most 10 minutes; README.md beside this says how.
#
#   bash tests/gpu/train_demo.sh pack SET [FILE]           here: a set made small enough to carry (default: .whl/set.tar)
#   bash tests/gpu/train_demo.sh [--wheels .whl] [...]     there: one piece more; the same again until it says "finished"
if [ "${1:-}" = pack ]; then
    python="${JT_DFD_PYTHON:-.venv/bin/python}"
    [ -x "$python" ] || python=python3
    exec "$python" "$(dirname "${BASH_SOURCE[0]}")/train_demo.py" "$@"
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/run_all.sh" --only train-demo "$@"
