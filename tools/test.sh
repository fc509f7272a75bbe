#!/usr/bin/env bash
# All tests that need no GPU, from a fresh clone on: environment, install, then each folder of tests/ in a process of its
# own (Jittor, PyTorch and Qt do not share one).
#
#   bash tools/test.sh                       everything
#   bash tools/test.sh core gui              some folders
#   bash tools/test.sh core -k merge -x      further words go to pytest
#
# JT_DFD_TEST_TORCH=0 leaves PyTorch out (tests that need it are then skipped with the reason); =1 insists on it.
set -uo pipefail
[ -t 0 ] || exec </dev/null   # there even where a job is given no input at all, and never waited for
. "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"

ORDER="runtime core data gui converter training evaluation"
folders="" arguments=()
for word in "$@"; do
    name="${word#tests/}"
    name="${name%/}"
    if [ ${#arguments[@]} = 0 ] && [ -n "$name" ] && [ -d "$ROOT/tests/$name" ]; then
        folders="$folders $name"
    else
        arguments+=("$word")
    fi
done
asked="$folders"
if [ -z "$folders" ]; then
    folders="$ORDER"
    for path in "$ROOT"/tests/*/; do   # folders that came later
        name="$(basename "$path")"
        case " $ORDER " in *" $name "*) continue ;; esac
        compgen -G "$path/test_*.py" >/dev/null && folders="$folders $name"
    done
fi

set_up "test"

# PyTorch, for the tests of converter and evaluation only.  From PyPI a Linux wheel brings gigabytes of CUDA libraries, so
# it is taken by itself only where it is small: there already, or as a wheel that pip finds without asking a registry (its
# find-links).
provide_torch() {
    "$PYTHON" -c 'import torch, safetensors, onnx, onnxruntime' 2>/dev/null && return 0
    [ "${JT_DFD_TEST_TORCH:-}" = 0 ] && return 0
    local wanted="torch>=2.0" local_wheel
    if "$PYTHON" -c 'import torch' 2>/dev/null; then
        wanted=""
    elif [ "${JT_DFD_TEST_TORCH:-}" != 1 ]; then
        local_wheel="$("$PYTHON" -m pip install -q --dry-run --no-index --no-deps --ignore-installed --report - torch 2>/dev/null |
            "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["install"][0]["metadata"]["version"])' 2>/dev/null)"
        if [ -z "$local_wheel" ]; then
            say "PyTorch is not installed: tests that need it are skipped (JT_DFD_TEST_TORCH=1 installs it, gigabytes)"
            return 0
        fi
        wanted="torch==$local_wheel"
    fi
    say "installing what tests of converter and evaluation need: ${wanted:-(PyTorch is there)} safetensors onnx onnxruntime"
    # shellcheck disable=SC2046
    "$PYTHON" -m pip install -q ${wanted:+"$wanted"} safetensors onnx onnxruntime $(numpy_bounds) && return 0
    [ "${JT_DFD_TEST_TORCH:-}" = 1 ] && fail "PyTorch could not be installed."
    say "PyTorch could not be installed: its tests are skipped"
}
case " $folders " in *" converter "* | *" evaluation "*) provide_torch ;; esac

# the code's own rules, in seconds (pyproject.toml): unused names, order of imports, lines of 120 columns; then types,
# without those of other packages, which an interpreter that finds none sees to
check() {
    "$PYTHON" -c "import $1" 2>/dev/null || { say "$1 is not installed: the code is not checked by it"; return 0; }
    say "$1"
    "$PYTHON" -m "$@"
}
check ruff check "$ROOT" || fail "ruff found the above; it fixes many by itself:  $PYTHON -m ruff check --fix"
check basedpyright --project "$ROOT" --pythonpath "$(type -P true)" || fail "basedpyright found the above"

# What preparing photographs needs beyond the core; its tests are skipped where it cannot be had.
provide_data() {
    local stamp="$VENV/.jt_dfd-data" state
    state="$(cksum <tools/install_data_extras.sh)"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ] && return 0
    say "installing what data preparation needs (tools/install_data_extras.sh)"
    if bash tools/install_data_extras.sh "$PYTHON" >"$VENV/data-extras.log" 2>&1; then
        echo "$state" >"$stamp"
    else
        tail -n 2 "$VENV/data-extras.log"
        say "data preparation's packages could not be installed: tests that need them are skipped"
    fi
}
case " $folders " in *" data "*) compgen -G "tests/data/test_*.py" >/dev/null && [ -f tools/install_data_extras.sh ] && provide_data ;; esac

export QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}"
# what compilers, the system and Qt say is looked for in English, file names in UTF-8, whatever the machine's language
export LC_ALL=C.UTF-8
unset LANGUAGE
results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT
status=0 compiled=0 broken=0

for name in $folders; do
    compgen -G "tests/$name/test_*.py" >/dev/null || { [ -z "$asked" ] || say "tests/$name: no tests there"; continue; }
    if [ $compiled = 0 ] && [ "$name" != runtime ] && [ "$name" != data ]; then
        # here rather than inside the first test, so that minutes of compiling are seen
        "$PYTHON" -c 'from jt_dfd import runtime; runtime.start()' || fail "Jittor does not start; see  $PYTHON tools/doctor.py"
        compiled=1
    fi
    say "tests/$name"
    options=(-q -ra --junitxml "$results/$name.xml" --durations 5)
    [ "$name" = gui ] || options+=(-p no:pytest-qt)   # which would load Qt beside Jittor
    started=$SECONDS
    "$PYTHON" -m pytest "${options[@]}" "tests/$name" ${arguments[@]+"${arguments[@]}"}
    code=$?
    say "tests/$name: $((SECONDS - started)) s"
    case $code in
        0) ;;
        5) [ ${#arguments[@]} -gt 0 ] || { status=1 broken=$((broken + 1)); echo "tests/$name ran nothing"; } ;;
        1) status=1 ;;
        *) status=1 broken=$((broken + 1)); echo "tests/$name: pytest ended with status $code" ;;
    esac
    if [ ! -s "$results/$name.xml" ] && [ $code -le 1 ]; then
        status=1 broken=$((broken + 1))
        echo "tests/$name: pytest was ended before it could report (status $code)"
    fi
    [ $code -le 130 ] || break
done

"$PYTHON" - "$results" "$broken" <<'PY'
import sys
from pathlib import Path
from xml.etree import ElementTree

passed = failed = skipped = 0
for path in Path(sys.argv[1]).glob("*.xml"):
    try:
        suites = list(ElementTree.parse(str(path)).getroot().iter("testsuite"))
    except ElementTree.ParseError:
        continue   # a process that died while writing; counted by the shell
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
        failed += bad
        skipped += int(suite.get("skipped", 0))
print("%d passed, %d failed, %d skipped" % (passed, failed + int(sys.argv[2]), skipped))
sys.exit(0 if passed or failed else 1)
PY
[ $? = 0 ] || status=1
exit $status
