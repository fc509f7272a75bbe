"""The release's own results, with weights of its full size (2.25 GB): latents, vectors, shadows, face."""
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jt_dfd.components import COMPONENTS

pytestmark = pytest.mark.full

# In a process of its own, so that what it holds at most is this work's alone.
#
# Three of the release's anchors hang on the last bits of the latent: changed by 3e-8 of its size every third try gives
# another anchor of the remainder in case b; changed by 3e-6, what rounding comes to, every fourth one of the nose in
# case a and every fifteenth of the mouth in b (of the seven others none in sixty).  Those are the compiler's: under
# -Ofast g++ takes an approximate square root in BatchNorm, and from g++ 13 on another approximation than g++ 12's (one
# thing changed at a time on Debian 13: 12.4 gives the fixture's anchor, 13.3 and 14.2 another, as 16.2 does on testing,
# and as 10.2 does of the nose; numpy 1.26 to 2.5 and OpenCV 4 and 5 make no difference, nor do the convolutions).  So
# from there on those latents are the release's own; ours are held to them on their own.
PROGRAM = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from jt_dfd import Synthesizer
from jt_dfd.backend import jt
from jt_dfd.components import COMPONENTS
parity, params, out = sys.argv[2:5]
s = Synthesizer(params, device="cpu")
FRAGILE = {"a": ["nose"], "b": ["mouth", "rest"]}
peak = {"load": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
for case, gender in (("a", "male"), ("b", "female")):
    theirs = np.load(f"{parity}/case_{case}.npz")
    refine = dict(zip(COMPONENTS, map(float, theirs["refine"])))
    own, encode = {}, s.networks.encode
    def encoded(crops):
        latents = encode(crops)
        own.update((c, v.numpy()[0]) for c, v in latents.items())
        return dict(latents, **{c: jt.array(theirs[f"latent_{c}"].reshape(1, -1)) for c in FRAGILE[case]})
    s.forget()
    s.networks.encode = encoded
    r = s.synthesize(f"{parity}/sketch_{case}.png", gender=gender, refine=refine, k=15, anchor="release")
    s.networks.encode = encode
    flat = {f"{kind}_{c}": v for kind in ("vectors", "shadows") for c, v in getattr(r, kind).items()}
    flat.update((f"latents_{c}", v) for c, v in own.items())
    np.savez(f"{out}/{case}.npz", face=r.face, shadow=r.shadow, **flat)
    near = s.synthesize(f"{parity}/sketch_{case}.png", gender=gender)
    np.savez(f"{out}/{case}_nearest.npz", face=near.face)
peak["all"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
peak["milliseconds"] = r.milliseconds
print(json.dumps(peak))
"""


@pytest.fixture(scope="module")
def computed(root, parity, release_params, tmp_path_factory):
    out = tmp_path_factory.mktemp("computed")
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(root), str(parity), str(release_params), str(out)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", ["a", "b"])
def test_the_release_s_results(computed, parity, case):
    ours, theirs = np.load(computed[0] / f"{case}.npz"), np.load(parity / f"case_{case}.npz")
    for c in COMPONENTS:
        for mine, its in ((f"latents_{c}", f"latent_{c}"), (f"vectors_{c}", f"vector_{c}")):
            error = np.abs(ours[mine] - theirs[its]).max() / np.abs(theirs[its]).max()
            assert error < 1e-4, (mine, error)
        levels = np.abs(ours[f"shadows_{c}"].astype(int) - theirs[f"shadow_{c}"][..., 0])
        assert levels.max() <= 1, c
    face = np.asarray(Image.open(parity / f"case_{case}_face.png").convert("RGB")).astype(int)
    assert np.abs(face - ours["face"]).max() <= 1


def test_the_anchor_matters(computed):
    """The nearest anchor is another choice; were it the same picture, the rule above would be untested."""
    for case in "ab":
        release, nearest = (np.load(computed[0] / f"{case}.npz")["face"],
                            np.load(computed[0] / f"{case}_nearest.npz")["face"])
        assert np.abs(release.astype(int) - nearest).mean() > 1


def test_memory(computed):
    """At most 3.2 GB resident, banks of 17,703 rows included."""
    assert computed[1]["all"] * 1024 <= 3.2e9, computed[1]
