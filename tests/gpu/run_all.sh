#!/usr/bin/env bash
# Everything that needs a GPU, in one go, with or without a network: environment, install, doctor, first compile,
# self-test, the tests marked gpu, benchmark tables.  Writes report.txt and report.json.  See README.md beside this.
#
#   bash tests/gpu/run_all.sh                                    report in $OUT, or in gpu-report/
#   bash tests/gpu/run_all.sh --wheels .whl --limit 570          without a network: what carry.sh put into .whl
#   bash tests/gpu/run_all.sh --only environment,doctor          some steps
for python in "${JT_DFD_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8; do
    [ -n "$python" ] || continue
    if "$python" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then
        exec "$python" "$(dirname "${BASH_SOURCE[0]}")/run_all.py" "$@"
    fi
done
echo "run_all.sh: no Python 3.8 to 3.14 found; name one with JT_DFD_PYTHON=/path/to/python3" >&2
exit 1
