"""What a killed run leaves behind."""
from jt_dfd import atomic
from jt_dfd.data.index import Journal


def test_files_that_a_kill_left_half_written_are_cleared_away(tmp_path):
    Journal(tmp_path / "set", {}).close()
    half = [tmp_path / "set" / name for name in (".index.csv.abcdefg1.part", "faces/.00013.webp.abcdefg2.part",
                                                 "sketches/.00013.png.abcdefg3.part")]
    others = [tmp_path / "set" / name for name in ("notes.part", "faces/00014.webp")]
    for path in half + others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    atomic._next_look.clear()   # as in another process
    Journal(tmp_path / "set", {}).close()
    assert not any(path.exists() for path in half) and all(path.exists() for path in others)
