"""Names of pictures: odd ones, and the same one in several folders."""
import os

from jt_dfd.data import index, sources
from jt_dfd.data.portrait import Options
from jt_dfd.data.prepare import prepare_folder
from jt_dfd.pictures import read_picture, write_png

KEEP = Options(frame="aligned", background="keep")


def test_a_name_that_is_no_text_is_reported_and_the_rest_done(tmp_path, samples):
    """As archives from other systems leave them behind."""
    album = tmp_path / "album"
    for i, path in enumerate(sorted((samples / "faces").iterdir())[:3]):
        write_png(album / f"{i}.png", read_picture(path))
    (album / "0.png").rename(os.fsdecode(os.fsencode(album) + b"/caf\xe9.png"))
    for made in (2, 0):
        summary = prepare_folder(album, tmp_path / "out", KEEP, style="photocopy")
        assert summary.made == made and summary.pairs == 2
        assert "rename it" in summary.rejected["caf\\xe9.png"]
    assert "caf\\xe9.png,no," in (tmp_path / "out/report.csv").read_text()


def test_own_sketches_in_subfolders_go_to_their_own_pictures(tmp_path, samples):
    """Numbered from one in every subfolder, as many albums are: a name alone would pair them wrongly."""
    faces, sketches = sorted((samples / "faces").iterdir()), sorted((samples / "sketches").iterdir())
    for i, place in enumerate(("her", "him")):
        write_png(tmp_path / "album" / place / "1.png", read_picture(faces[i]))
        write_png(tmp_path / "mine" / place / "1.png", read_picture(sketches[i]))
        write_png(tmp_path / "flat" / f"{i + 1}.png", read_picture(sketches[i]))
    assert prepare_folder(tmp_path / "album", tmp_path / "out", KEEP, sketch_dir=str(tmp_path / "mine")).pairs == 2
    for row, own in zip(sorted(index.read(tmp_path / "out"), key=lambda r: r.source), sketches):
        assert (read_picture(tmp_path / "out" / row.sketch) == read_picture(own)).all(), row.source
    unclear = prepare_folder(tmp_path / "album", tmp_path / "out2", KEEP, sketch_dir=str(tmp_path / "flat"))
    assert unclear.pairs == 0 and all("several" in reason for reason in unclear.rejected.values())


def test_labels_in_subfolders_go_to_their_own_pictures(tmp_path):
    (tmp_path / "labels.csv").write_text("file,gender\nher/1.jpg,female\nhim/1.jpg,male\nhim/2.jpg,male\n"
                                         "3.jpg,female\n")
    table = sources.read_labels(tmp_path / "labels.csv")
    assert [sources.labels_of(table, p).get("gender") for p in
            ("her/1.png", "him/1.png", "him/2.png", "elsewhere/2.jpg", "3.webp", "deep/3.png", "elsewhere/1.jpg",
             "4.png")
            ] == ["female", "male", "male", "male", "female", "female", None, None]
