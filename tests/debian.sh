#!/usr/bin/env bash
# The README's two commands on bare Debian systems: roots made by debootstrap, quickstart.sh and test.sh in each, the
# faces compared.  By hand or nightly, as root, with debootstrap installed; some 4 GB of disk and an hour a system.
#
#   bash tests/debian.sh [--keep] [--no-tests] [--in FOLDER] [SUITE | SUITE:user ...]
#                                       default: bookworm trixie testing bookworm:user
#
# SUITE:user is an ordinary user: the first run must name what is missing, root installs just that, the second must do.
# Logs: FOLDER/SUITE.quickstart.log, .test.log and .missing.log (the user's first run), to be read line by line.  What
# is checked here: exit statuses, no warning of pip's about numpy, and faces that differ by 1 grey level at most.
# JT_DFD_DEBIAN_TESTS: words for test.sh; JT_DFD_CACHE: a folder in the root that holds what was compiled before (README,
# "Compiled once, for many").
set -uo pipefail
[ "$(id -u)" = 0 ] || { echo "debian.sh: needs root (chroot, mount)"; exit 2; }
command -v debootstrap >/dev/null || { echo "debian.sh: needs debootstrap (apt-get install debootstrap)"; exit 2; }
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
keep=no tests=yes folder=/var/tmp/jt_dfd-debian suites=()
while [ $# -gt 0 ]; do
    case "$1" in
        --keep) keep=yes ;;
        --no-tests) tests=no ;;
        --in) shift; folder="$1" ;;
        -*) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
        *) suites+=("$1") ;;
    esac
    shift
done
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie testing bookworm:user)
mkdir -p "$folder"
status=0
complain() { echo "FAILED  $*"; status=1; }

root=""
leave() {
    local tries=0
    [ -n "$root" ] || return 0
    mountpoint -q "$root/dev/pts" && umount "$root/dev/pts"
    while mountpoint -q "$root/proc" && ! umount "$root/proc" 2>/dev/null; do   # whatever still runs there is ending
        tries=$((tries + 1))
        [ $tries -lt 20 ] || { complain "$root/proc stays mounted: something still runs there"; keep=yes; break; }
        sleep 1
    done
    [ $keep = yes ] || rm -rf --one-file-system "$root"
    root=""
}
trap leave EXIT

# inside USER COMMAND: a login with nothing but what a fresh system has, and this machine's way to the packages
inside() {
    local user="$1" home=/root
    [ "$user" = root ] || home="/home/$user"
    chroot --userspec="$user" "$root" /usr/bin/env -i HOME="$home" USER="$user" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${PIP_CERT:+PIP_CERT=/etc/ssl/jt_dfd-registry.crt} ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} \
        ${JT_DFD_CACHE:+JT_DFD_CACHE="$JT_DFD_CACHE"} JT_DFD_TEST_TORCH=0 bash -c "cd $home/jt_dfd && $2" </dev/null
}

for word in "${suites[@]}"; do
    suite="${word%%:*}" user=root home=/root
    name="${word/:/-}"
    [ "$word" = "$suite" ] || { user=somebody home=/home/somebody; }
    root="$folder/$name"
    echo "== $name: a minimal root"
    if [ ! -x "$root/bin/bash" ]; then
        debootstrap --variant=minbase "$suite" "$root" >"$folder/$name.debootstrap.log" 2>&1 ||
            { tail -n 3 "$folder/$name.debootstrap.log"; complain "$name: debootstrap"; leave; continue; }
    fi
    mkdir -p "$root/dev/shm" && chmod 1777 "$root/dev/shm"
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc" || { complain "$name: mount"; leave; continue; }
    [ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    apt-config dump Acquire | grep -E "Check|Proxy" >"$root/etc/apt/apt.conf.d/99-of-this-machine"
    [ -z "${PIP_CERT:-}" ] || { mkdir -p "$root/etc/ssl" && cp -L "$PIP_CERT" "$root/etc/ssl/jt_dfd-registry.crt"; }
    [ $user = root ] || chroot "$root" useradd -m -s /bin/bash $user 2>/dev/null
    mkdir -p "$root$home/jt_dfd"   # what an earlier call left goes, but for what is installed
    find "$root$home/jt_dfd" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
    git -C "$repository" ls-files -z --cached --others --exclude-standard | tar -C "$repository" --null -T - -cf - |
        tar -C "$root$home/jt_dfd" -xf - || complain "$name: copying the repository"
    chroot "$root" chown -R $user: "$home/jt_dfd"

    log="$folder/$name.quickstart.log"
    if [ $user != root ] && [ ! -x "$root/usr/bin/g++" ]; then   # else an earlier call's root, kept
        inside $user "bash tools/quickstart.sh --no-window" >"$folder/$name.missing.log" 2>&1 &&
            complain "$name: went on without a compiler"
        command="$(sed -n 's/^ *sudo \(apt-get update\) && sudo \(apt-get install .*\)/\1 \&\& \2/p' "$folder/$name.missing.log" | tail -n 1)"
        [ -n "$command" ] || complain "$name: no command that installs what is missing"
        echo "== $name: root runs  $command"
        chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c "$command" \
            >"$folder/$name.apt.log" 2>&1 || complain "$name: that command"
    fi
    echo "== $name: quickstart"
    started=$SECONDS
    inside $user "bash tools/quickstart.sh --no-window" >"$log" 2>&1 || { tail -n 5 "$log"; complain "$name: quickstart, see $log"; }
    echo "   $((SECONDS - started)) s"
    grep -nE "numpy.*(incompatible|requires)|Traceback|SyntaxWarning|dependency resolver" "$log" && complain "$name: stray words in $log"
    cp "$root$home/jt_dfd/quickstart_face.png" "$folder/$name.png" 2>/dev/null || complain "$name: no face"
    inside $user ".venv/bin/python -c 'import numpy, sys; print(\"   Python\", sys.version.split()[0], \"numpy\", numpy.__version__)'; g++ --version | head -n 1"
    first="${first:-$folder/$name.png}"
    cp "$first" "$root/tmp/first.png" 2>/dev/null && inside $user ".venv/bin/python -c '
import sys; import numpy as np; from PIL import Image
a, b = (np.asarray(Image.open(p).convert(\"RGB\")).astype(int) for p in sys.argv[1:])
print(\"   largest difference of the face from the first:\", abs(a - b).max()); sys.exit(int(abs(a - b).max() > 1))
' /tmp/first.png quickstart_face.png" || complain "$name: another face"
    if [ $tests = yes ]; then
        echo "== $name: test.sh"   # which opens terminals; quickstart has shown that it does without
        mkdir -p "$root/dev/pts"
        mountpoint -q "$root/dev/pts" || mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
        ln -sf pts/ptmx "$root/dev/ptmx"
        inside $user "bash tools/test.sh ${JT_DFD_DEBIAN_TESTS:-}" >"$folder/$name.test.log" 2>&1 || complain "$name: test.sh, see $folder/$name.test.log"
        tail -n 1 "$folder/$name.test.log"
    fi
    leave
done
[ $status = 0 ] && echo "all good"
exit $status
