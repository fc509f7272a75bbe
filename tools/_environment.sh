# Sourced by quickstart.sh and test.sh: everything between a fresh clone and a working .venv.
#
#   set_up EXTRAS      EXTRAS: "" or names of setup.py's extras, comma-separated
#
# Afterwards $PYTHON is the environment's interpreter.  JT_DFD_PYTHON names the Python to build it with; an existing
# .venv that works is kept.  Missing system packages are installed where the user is root and apt-get exists; otherwise
# the command is printed.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
[ -n "${HOME:-}" ] || { unset HOME; HOME=~; export HOME; }   # not set in some containers and services
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_USER=0   # whatever pip's own settings say

trap 'printf "\nstopped; the same command goes on from here\n" >&2; exit 130' INT
say() { printf '== %s\n' "$*"; }
fail() { printf '\n%s\n' "$*" >&2; exit 1; }

# one line "VERSION EXECUTABLE HEADERS VENV" about an interpreter, nothing if it does not run or does not fit
look_at_python() {
    "$1" - 2>/dev/null <<'PY'
import os, sys, sysconfig
if sys.version_info[:2] < (3, 8) or sys.version_info[:2] >= (3, 15) or sys.implementation.name != "cpython":
    sys.exit(1)
headers = os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h"))
try:
    import ensurepip, venv
    environment = True
except ImportError:
    environment = False
print("%d.%d" % sys.version_info[:2], sys.executable, int(headers), int(environment))
PY
}

python_candidates() {
    [ -n "${JT_DFD_PYTHON:-}" ] && { echo "$JT_DFD_PYTHON"; return; }
    local version folder
    echo python3
    for version in 3.{14..8}; do echo "python$version"; done
    for version in 3.{14..8}; do
        for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".* "$HOME/miniconda3/envs"/*; do
            [ -x "$folder/bin/python$version" ] && echo "$folder/bin/python$version"
        done
        [ -x "/usr/bin/python$version" ] && echo "/usr/bin/python$version"
    done
}

# Sets BASE (interpreter) and BASE_VERSION: the first that has headers and venv, else the first that fits at all.
find_python() {
    local candidate found second=""
    BASE=""
    while read -r candidate; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        found="$(look_at_python "$candidate")" || continue
        case "$found" in
            *" 1 1") read -r BASE_VERSION BASE _ _ <<<"$found"; NEEDS_HEADERS=0 NEEDS_VENV=0; return 0 ;;
            *) [ -n "$second" ] || second="$found" ;;
        esac
    done <<<"$(python_candidates)"   # which needs no /dev/fd, as <(...) does: /proc is not always there
    if [ -n "$second" ]; then
        read -r BASE_VERSION BASE NEEDS_HEADERS NEEDS_VENV <<<"$second"
        NEEDS_HEADERS=$((1 - NEEDS_HEADERS)) NEEDS_VENV=$((1 - NEEDS_VENV))
        return 0
    fi
    return 1
}

LDCONFIG=""
has_library() {
    local folder
    [ -n "$LDCONFIG" ] || LDCONFIG="$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || echo none)"
    case "$LDCONFIG" in *"	$1 "*) return 0 ;; esac
    for folder in /usr/lib /usr/lib64 /lib /lib64 "/usr/lib/$(uname -m)-linux-gnu" "/lib/$(uname -m)-linux-gnu"; do
        [ -e "$folder/$1" ] && return 0
    done
    return 1
}

# "soname Debian-package" of what OpenCV and the window's toolkit load from the system (ldd on Qt's platform plugins)
LIBRARIES="libGL.so.1 libgl1
libEGL.so.1 libegl1
libglib-2.0.so.0 libglib2.0-0
libgthread-2.0.so.0 libglib2.0-0
libfontconfig.so.1 libfontconfig1
libfreetype.so.6 libfreetype6
libdbus-1.so.3 libdbus-1-3
libgssapi_krb5.so.2 libgssapi-krb5-2
libX11.so.6 libx11-6
libX11-xcb.so.1 libx11-xcb1
libXext.so.6 libxext6
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-glx.so.0 libxcb-glx0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render.so.0 libxcb-render0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-shm.so.0 libxcb-shm0
libxcb-sync.so.1 libxcb-sync1
libxcb-util.so.1 libxcb-util1
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xinerama.so.0 libxcb-xinerama0
libxcb-xkb.so.1 libxcb-xkb1
libwayland-client.so.0 libwayland-client0
libwayland-cursor.so.0 libwayland-cursor0"

# One that jt_dfd/runtime/host.py takes: g++ or clang++, with or without a number.
has_compiler() {
    local name
    for name in g++ clang++ g++-{16..7} clang++-{22..11}; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

# Installs or names the missing system packages.  Fails where one is missing that nothing works without.
system_packages() {
    local needed="" wanted="" soname package
    [ -n "${cc_path:-}" ] || has_compiler || needed="$needed g++"
    if [ -z "$BASE" ]; then needed="$needed python3 python3-venv python3-dev"; else
        [ "$NEEDS_HEADERS" = 0 ] || needed="$needed python$BASE_VERSION-dev"
        [ "$NEEDS_VENV" = 0 ] || needed="$needed python$BASE_VERSION-venv"
    fi
    while read -r soname package; do
        has_library "$soname" && continue
        case "$wanted " in *" $package "*) ;; *) wanted="$wanted $package" ;; esac
    done <<<"$LIBRARIES"
    [ -n "$(ls /usr/share/fonts 2>/dev/null)" ] || wanted="$wanted fonts-dejavu-core"
    [ -n "$needed$wanted" ] || return 0

    if ! command -v apt-get >/dev/null 2>&1; then
        say "system packages that are missing, by their Debian names:$needed$wanted"
        [ -z "$needed" ] || fail "Install the equivalents of$needed with this system's package manager, then run this again."
        return 0
    fi
    if [ "$(id -u)" != 0 ]; then
        [ -z "$needed" ] || say "missing, and nothing works without:$needed"
        [ -z "$wanted" ] || say "missing, for the drawing window only:$wanted"
        say "who may use sudo installs them with:"
        echo "    sudo apt-get update && sudo apt-get install -y$needed$wanted"
        [ -z "$needed" ] || fail "Nothing works without$needed: run that command, or ask for it, then this again."
        say "going on; everything but the drawing window works without them"
        return 0
    fi
    say "installing system packages:$needed$wanted"
    local said package
    said="$(mktemp)"
    # a new machine may be updating itself: waited for
    apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >"$said" 2>&1; }
    apt update || say "apt-get update failed ($(tail -n 1 "$said")); trying with the lists that are there"
    # shellcheck disable=SC2086
    if [ -n "$needed" ]; then
        apt install -y --no-install-recommends $needed || { cat "$said"; fail "apt-get could not install$needed"; }
    fi
    # one by one would be slow; all at once fails over a single name that this release does not have
    # shellcheck disable=SC2086
    if [ -n "$wanted" ] && ! apt install -y --no-install-recommends $wanted; then
        for package in $wanted; do
            apt install -y --no-install-recommends "$package" ||
                say "apt-get has no $package; the drawing window may not open"
        done
    fi
    rm -f "$said"
}

make_venv() {
    if [ -x "$PYTHON" ] && [ -n "$(look_at_python "$PYTHON")" ] && "$PYTHON" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    say "virtual environment: $VENV ($BASE)"
    rm -rf "$VENV"
    local said
    said="$("$BASE" -m venv "$VENV" 2>&1)" || fail "$said
The environment could not be made: it lies in this folder, which has to be yours and have room."
}

# pip install -e . with extras, unless this very setup.py was installed with them before
install_package() {
    local extras="$1" stamp="$VENV/.jt_dfd-installed" state info
    # what an installation that was broken off has left without its last file, and pip would take for installed
    for info in "$VENV"/lib/python3*/site-packages/*.dist-info; do [ -f "$info/INSTALLER" ] || rm -rf "$info"; done
    state="$(cksum <"$ROOT/setup.py") $extras $ROOT"
    if [ -f "$stamp" ] && grep -qxF "$state" "$stamp" && "$PYTHON" -c 'import jt_dfd, cv2' 2>/dev/null; then return 0; fi
    say "installing jt_dfd${extras:+ with $extras} and what it needs (about 250 MB the first time)"
    # older ones cannot read the tags of today's wheels, or build source packages by a way that is no longer kept up
    "$PYTHON" -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (23, 1))' ||
        "$PYTHON" -m pip install -q --upgrade 'pip>=23.1' || fail "pip could not be brought up to date."
    local quiet=-q
    [ -t 1 ] && quiet=
    # shellcheck disable=SC2086
    # (warnings: newest pip passes on what setuptools says of every installation with -e)
    PYTHONWARNINGS=ignore "$PYTHON" -m pip install $quiet -e "$ROOT${extras:+[$extras]}" || fail "pip could not install jt_dfd; its message is above."
    if ! "$PYTHON" -c 'import cv2' 2>/dev/null; then   # without libGL: the same OpenCV without windows, which nothing here opens
        "$PYTHON" -m pip install -q --no-deps --force-reinstall \
            "opencv-python-headless==$("$PYTHON" -c 'from importlib import metadata; print(metadata.version("opencv-python"))')" &&
            "$PYTHON" -c 'import cv2' || fail "OpenCV does not start here; the reason is above."
    fi
    echo "$state" >>"$stamp"
}

# Bounds for whatever is installed besides, where this environment holds pip's own Jittor beside numpy 1: that Jittor
# asks for numpy below 2, and pip would complain.  Nothing where there is none.
numpy_bounds() {
    "$PYTHON" - <<'PY'
from importlib import metadata
try:
    wants = metadata.requires("jittor") or []
    numpy = metadata.version("numpy")
except metadata.PackageNotFoundError:
    raise SystemExit
if numpy.startswith("1.") and any(w.replace(" ", "").startswith("numpy<2") for w in wants):
    print("numpy<2 ml_dtypes<0.6")
PY
}

no_python() {
    fail "No Python from 3.8 to 3.14 was found. Install one (python3.12 python3.12-venv python3.12-dev, or: pyenv install 3.12),
or name it:  JT_DFD_PYTHON=/path/to/python3.12 bash $0"
}

set_up() {
    case "$(uname -s)" in
        Linux) ;;
        Darwin) fail "macOS is not supported: the kernels are compiled for Linux. Use a Linux machine, container or virtual machine." ;;
        *) fail "$(uname -s) is not supported: use Linux, or WSL 2 on Windows." ;;
    esac
    case "$(uname -m)" in
        x86_64 | amd64) ;;
        *) [ "${JT_DFD_MACHINE:-}" = any ] ||
            fail "$(uname -m) is not supported: oneDNN's packages are for x86-64 only, and nothing was tried here (JT_DFD_MACHINE=any tries)." ;;
    esac
    case "$(ldd --version 2>&1)" in
        *musl*) fail "This system's C library is musl (Alpine?): the packages of oneDNN, OpenCV and Qt need glibc. Use a container of Debian, Ubuntu or Fedora." ;;
    esac
    case "$ROOT" in
        *[[:space:]\'\"\$\`\\\;\&\|\<\>\(\)]*)
            fail "$ROOT: Jittor cannot compile out of a folder whose path holds spaces or quotes. Move this one to a path without them." ;;
    esac
    cd "$ROOT" || exit 1
    [ -z "${PYTHONHOME:-}${PYTHONPATH:-}" ] ||   # a conda's, a ROS's
        say "PYTHONHOME and PYTHONPATH are set, and left out here: unset them for the tools too, or another Python's packages get in the way"
    unset PYTHONHOME PYTHONPATH
    if ! find_python; then
        BASE=""
        # before anything is installed: the system's own Python does not fit, and installing it again changes nothing
        [ -n "${JT_DFD_PYTHON:-}" ] || command -v python3 >/dev/null 2>&1 && no_python
    fi
    system_packages
    [ -n "$BASE" ] || find_python || no_python
    if command -v flock >/dev/null 2>&1; then   # one at a time; pip has it too, where this script alone is killed
        exec 9<"$ROOT"
        flock -n 9 || { say "waiting for another set-up of this folder"; flock 9; }
    fi
    make_venv
    # pip unpacks there, and g++ keeps what it passes on
    if [ "$(df -k --output=avail "${TMPDIR:-/tmp}" 2>/dev/null | tail -n 1)" -lt 500000 ] 2>/dev/null; then
        export TMPDIR="$VENV/tmp"
        rm -rf "$TMPDIR"
        mkdir -p "$TMPDIR"
    fi
    install_package "${1:-}"
    "$PYTHON" -m jt_dfd.runtime || fail "Jittor's package could not be had; the reason is above."
    exec 9<&-
}
