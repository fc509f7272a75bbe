"""A run that somebody comes back to: other encoders, a second writer, Ctrl-C at the wrong moment, a closed terminal."""
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import embedding_trainer, synthesis_trainer
from test_kill import command

from jt_dfd import networks
from jt_dfd.backend import jt
from jt_dfd.errors import UserError
from jt_dfd.training import export, feed, loop
from jt_dfd.training.log import read
from jt_dfd.training.run_folder import RunFolder


@pytest.fixture
def trained_on(pairs, embedding, tmp_path):
    """A stage I that has gone on by a step since stage II of one step was trained with it."""
    shutil.copytree(embedding, tmp_path / "E")
    trainer, options = synthesis_trainer(pairs, tmp_path / "E", tmp_path / "S", steps=1, gan=0.0)
    assert loop.run(trainer, options, False, ["train"])
    trainer, options = embedding_trainer(pairs, tmp_path / "E", steps=4, save_every=1, batch=8, norm_momentum=1.0)
    assert loop.run(trainer, options, True, ["train"])
    return tmp_path


def test_stage_two_does_not_go_on_with_other_encoders(pairs, trained_on):
    embedding, out = trained_on / "E", trained_on / "S"
    trainer, options = synthesis_trainer(pairs, embedding, out, steps=2, gan=0.0)
    with pytest.raises(UserError, match="other encoders than those in .*--init .*S keeps.*--embedding .*S"):
        loop.run(trainer, options, True, ["train"])
    assert RunFolder(out).steps() == [1]
    with pytest.raises(UserError, match="other encoders"):
        export.check_again(embedding, out, 4)
    with pytest.raises(UserError, match="--embedding-steps 4"):   # before stage I takes a step
        export.check_again(embedding, out, 9)
    # both ways out that are named
    trainer, options = synthesis_trainer(pairs, out, out, steps=2, gan=0.0)
    assert loop.run(trainer, options, True, ["train"])
    trainer, options = synthesis_trainer(pairs, embedding, trained_on / "new", steps=1, gan=0.0, init=str(out))
    assert loop.run(trainer, options, False, ["train"])


_WRITER = """
import sys, time
sys.path.insert(0, {root!r})
from jt_dfd.training.run_folder import only_writer
with only_writer({folder!r}):
    print("in", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_refused_until_the_first_is_gone(root, pairs, embedding, tmp_path):
    out = tmp_path / "run"
    first = subprocess.Popen([sys.executable, "-c", _WRITER.format(root=str(root), folder=str(out))],
                             stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "in\n"
    trainer, options = synthesis_trainer(pairs, embedding, out, steps=1, gan=0.0)
    with pytest.raises(UserError, match=f"process {first.pid} trains here already"):
        loop.run(trainer, options, False, ["train"])
    first.kill()
    first.wait()
    assert loop.run(trainer, options, False, ["train"])


def test_ctrl_c_before_the_first_step_leaves_a_run_that_can_begin(pairs, embedding, tmp_path, capfd):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", steps=1, gan=0.0)
    describe = trainer.describe

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        yield from describe()

    trainer.describe = interrupted
    assert not loop.run(trainer, options, False, ["train"])
    assert "Stopped before the first step.\nGo on with: " in capfd.readouterr().err
    assert RunFolder(tmp_path / "run").steps() == []
    trainer.describe = describe
    assert loop.run(trainer, options, True, ["train"])
    again, options = synthesis_trainer(pairs, embedding, tmp_path / "run", steps=1, gan=0.0)
    assert loop.run(again, options, True, ["train"])
    assert "finished already, at step 1; to train on: --resume --steps 2" in capfd.readouterr().err


_HUNG_UP = """
import sys, time
sys.path.insert(0, {root!r})
from jt_dfd.training.interrupt import Interrupt
with Interrupt() as stop:
    open({file!r} + ".ready", "w").close()
    while not stop.asked:
        time.sleep(0.01)
    sys.stderr.write("a line to a terminal that is gone")
    sys.stderr.flush()
    print("another", flush=True)
    open({file!r}, "w").close()
"""


def test_a_closed_terminal_saves(root, tmp_path):
    file = str(tmp_path / "saved")
    try:
        pid, terminal = pty.fork()
    except OSError as error:
        pytest.skip(f"no terminal can be opened here: {error}")
    if not pid:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)   # ignored where the tests themselves run under nohup
        os.execv(sys.executable, [sys.executable, "-c", _HUNG_UP.format(root=str(root), file=file)])
    wait_for(file + ".ready")
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0 and os.path.exists(file)


def wait_for(file):
    give_up = time.monotonic() + 120
    while not os.path.exists(file):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_the_line_to_go_on_with_can_be_pasted(root, pairs, embedding, tmp_path):
    out = tmp_path / "a run"   # a name that a shell has to be told of
    words = [os.path.relpath(w, root) if w.startswith(str(root)) else w
             for w in command(root, pairs, embedding, out, "--steps", "2", "--minutes", "1e-9", "--gan", "0")]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr[-2000:]
    line = next(text for text in done.stderr.splitlines() if text.startswith("Go on with: "))
    assert subprocess.call(["bash", "-c", line[len("Go on with: "):]], cwd=root, stderr=subprocess.DEVNULL) == 0
    assert [entry["step"] for entry in read(out / "log.jsonl") if "l1" in entry] == [1, 2]
    assert loop.pasted(["tools/x.py", "a b", "--resume"], 2).startswith(shlex.join(["mpirun", "-np", "2"]))


def test_a_run_tells_of_replaced_pictures_and_has_a_page(own_pairs, embedding, tmp_path, capfd):
    out = tmp_path / "run"
    trainer, options = synthesis_trainer(own_pairs, embedding, out, steps=2, save_every=1, sample_every=2, gan=0.0)
    step = trainer.step

    def replaced(batch, number, parts):
        shutil.copyfile(own_pairs / "faces/001.png", own_pairs / "faces/003.png")
        return step(batch, number, parts)

    trainer.step = replaced
    assert loop.run(trainer, options, False, ["train", "--l1 <5>"])
    said = capfd.readouterr().err
    assert "1 pictures" in said and "faces/003.png" in said and "only 2 held-out pictures" in said
    assert sorted(p.name for p in (out / "samples").iterdir()) == ["step-00000000.png", "step-00000002.png"]
    page = (out / "index.html").read_text()
    assert page.count("samples/step-") == 2 and "losses.png" in page and "&lt;5&gt;" in page and "max_gradient" in page
    shutil.copyfile(own_pairs / "faces/002.png", own_pairs / "faces/005.png")
    trainer, options = synthesis_trainer(own_pairs, embedding, out, steps=3, gan=0.0)
    assert loop.run(trainer, options, True, ["train"])
    assert "are not those that the run saw until step 2" in capfd.readouterr().err


def test_a_batch_in_pieces_is_the_whole_batch_in_stage_two(pairs, embedding, tmp_path):
    found = {}
    for pieces in (1, 2):
        trainer, options = synthesis_trainer(pairs, embedding, tmp_path / str(pieces), batch=4, accumulate=pieces,
                                             lr=1e-4, steps=2, max_gradient=1.0)
        assert loop.run(trainer, options, False, ["train"])
        found[pieces] = read(tmp_path / str(pieces) / "log.jsonl"), RunFolder(tmp_path / str(pieces)).newest()[1]
    lines, arrays = zip(*found.values())
    for a, b in zip(*lines):
        for name in set(a) - {"images_per_second", "memory_mb"}:
            assert a[name] == pytest.approx(b[name], rel=2e-3, abs=1e-4), name
    assert arrays[0]["adam/n_step"] == arrays[1]["adam/n_step"] == 2
    moments = [n for n in arrays[0] if n.startswith("adam/m")]
    length = np.sqrt(sum((arrays[0][n] ** 2).sum() for n in moments))
    assert np.sqrt(sum(((arrays[0][n] - arrays[1][n]) ** 2).sum() for n in moments)) < 0.01 * length


def test_parts_that_are_not_trained_stay_as_they_are(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", train="generator,feature_decoder_nose",
                                         steps=1, gan=0.0)
    before = {name: networks.to_arrays(network) for name, network in trainer._parts()}
    batch = next(feed.batches(feed.training_data(options, trainer.config, "synthesis"), 0))
    trainer.step(batch, 0)[2]()
    jt.sync_all()
    moved = {name for name, network in trainer._parts()
             if any(not np.array_equal(a, before[name][n]) for n, a in networks.to_arrays(network).items())}
    assert moved == {"generator", "feature_decoder_nose"}
