#!/usr/bin/env bash
# From a fresh clone on a bare Linux machine to a face: environment, install, first compile, one sketch turned into a
# photograph, and the drawing window where there is a screen.
#
#   bash tools/quickstart.sh [--no-window]
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"

window=yes
for word in "$@"; do
    case "$word" in
        --no-window) window=no ;;
        *) echo "usage: bash tools/quickstart.sh [--no-window]"; [ "$word" = -h ] || [ "$word" = --help ]; exit $? ;;
    esac
done

set_up ""

say "what this machine has, and the first compile (once, some minutes)"
"$PYTHON" tools/doctor.py --warm --quick || fail "Jittor cannot start yet: fix what is listed above, then run this again."

params="Params/demo"
face="quickstart_face.png"
[ -w . ] || face="$HOME/$face"   # somebody else's clone
made=no
if [ ! -e "$params/config.json" ] && [ ! -d "$params/AE_whole" ]; then
    say "there are no weights in $params, so no face can be made yet"
    echo "    Fetch the authors' weights where the network allows:  $PYTHON tools/fetch_release.py"
    echo "    or train your own; README.md says how.  Everything else is ready."
else
    say "a face from tests/sketches/own/07_laughing.png"
    "$PYTHON" tools/synthesize.py tests/sketches/own/07_laughing.png --params "$params" --sheet -o "$face" || fail "The face could not be made; the reason is above."
    [ -f "$face" ] || fail "$face was not written."
    made=yes
    say "done: $(realpath "$face"), and ${face%.png}_sheet.png beside it: the drawing, its shadow, three amounts of refinement"
fi

if [ "$window" = yes ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    say "opening the drawing window (again later:  $PYTHON tools/draw.py)"
    exec "$PYTHON" tools/draw.py
fi
[ "$window" = no ] || say "no screen here; on one:  $PYTHON tools/draw.py"
[ $made = no ] || say "your own sketches:  $PYTHON tools/synthesize.py SKETCH.png -o FACE.png"
say "training: $PYTHON tools/train_all.py --help; sharper faces with: $PYTHON -m pip install --no-deps stlpips-pytorch==0.0.2"
