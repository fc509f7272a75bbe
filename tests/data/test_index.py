"""index.csv, label tables, landmark files, listings."""
import numpy as np
import pytest

from jt_dfd.components import CANONICAL_POINTS
from jt_dfd.data import index, sources


def test_rows_survive_writing_and_reading(tmp_path):
    rows = [index.Row("faces/b.webp", "sketches/b.png", "female", "test", dict(CANONICAL_POINTS), "x, \"y\".jpg", 7),
            index.Row("faces/ä.webp", "sketches/ä.png")]
    index.write(tmp_path, rows)
    assert index.read(tmp_path) == rows
    assert index.read(tmp_path, split="test") == rows[:1]
    assert index.read(tmp_path, gender="female") == rows[:1]
    assert index.index_path(tmp_path).read_text(encoding="utf-8").splitlines()[0] == ",".join(index.COLUMNS)


def test_the_order_of_writing_does_not_matter(tmp_path):
    rows = [index.Row(f"faces/{i}.webp", f"sketches/{i}.png") for i in range(5)]
    index.write(tmp_path / "a", rows)
    index.write(tmp_path / "b", rows[::-1])
    assert (tmp_path / "a/index.csv").read_bytes() == (tmp_path / "b/index.csv").read_bytes()


@pytest.mark.parametrize("row, complaint", [
    ("/etc/passwd,s.png,,train,,,", "inside the set"), ("../a.png,s.png,,train,,,", "inside the set"),
    ("a.png,,,train,,,", "sketch"), ("a.png,s.png,,all,,,", "split"), ("a.png,s.png,,train,1 2 3,,", "10 numbers"),
    ("a.png,s.png,,train,,,seven", "seven"), ("a.png,s.png,,train,nan 1 1 1 1 1 1 1 1 1,,", "10 numbers")])
def test_a_bad_row_is_named_by_file_and_line(tmp_path, row, complaint):
    (tmp_path / "index.csv").write_text(f"{','.join(index.COLUMNS)}\nok.png,ok.png,,train,,,\n{row}\n")
    with pytest.raises(index.SetError, match=complaint) as caught:
        index.read(tmp_path)
    assert "index.csv, line 3" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00garbage", b"file,sketch\n\"unclosed"])
def test_what_is_no_index_is_an_error_not_a_crash(tmp_path, data):
    (tmp_path / "index.csv").write_bytes(data)
    try:
        assert index.read(tmp_path) is not None
    except index.SetError as error:
        assert "index.csv" in str(error)


def test_a_missing_index_says_what_makes_one(tmp_path):
    with pytest.raises(index.SetError, match="prepare_data.py"):
        index.read(tmp_path)


def test_the_split_depends_on_the_name_alone_and_has_the_asked_share():
    names = [f"{i:06d}.jpg" for i in range(20000)]
    splits = [index.split_of(n) for n in names]
    assert splits == [index.split_of(n) for n in names]
    assert abs(splits.count("test") / 20000 - index.TEST_SHARE) < 0.01
    assert {index.split_of(n, 0) for n in names} == {"train"}
    assert {index.split_of(n, 1) for n in names} == {"test"}


def test_pictures_are_listed_in_a_fixed_order_without_the_output(tmp_path):
    for name in ("b/2.PNG", "a/1.jpg", "a/1.png", "notes.txt", ".hidden.png", ".git/x.png", "out/faces/9.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    pictures, other = sources.list_pictures(tmp_path, leave_out=tmp_path / "out")
    assert pictures == ["a/1.jpg", "a/1.png", "b/2.PNG"] and other == 1
    names = sources.output_names(pictures)
    assert len(set(names.values())) == 3 and names["b/2.PNG"] == "2"


def test_a_file_or_nothing_as_source_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(sources.SourceError, match="a file"):
        sources.list_pictures(tmp_path / "a.png")
    with pytest.raises(sources.SourceError, match="no such folder"):
        sources.list_pictures(tmp_path / "nowhere")


def test_labels_of_several_kinds(tmp_path):
    own = tmp_path / "faces.csv"
    own.write_text("seed,file,sex,sex_confidence,split\n2,images/00002.webp,male,1.0,train\n3,images/00003.webp,female,0.7,test\n")
    table = sources.read_labels(own)
    assert sources.gender_of(table["00002"], 0.9) == "male"
    assert sources.gender_of(table["00003"], 0.9) == "" and sources.gender_of(table["00003"]) == "female"
    assert sources.split_label(table["00003"]) == "test"
    celeba = tmp_path / "list_attr_celeba.txt"
    celeba.write_text("2\nBald Male Smiling\n000001.jpg -1  1 -1\n000002.jpg -1 -1  1\n")
    table = sources.read_labels(celeba)
    assert [sources.gender_of(table[n]) for n in ("000001", "000002")] == ["male", "female"]
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(sources.SourceError, match="file"):
        sources.read_labels(tmp_path / "bad.csv")


def test_column_names_in_capitals_count(tmp_path):
    """Of a column "Split" nothing was read: every picture was trained on, those to test with, too."""
    (tmp_path / "index.csv").write_text("File, Sketch, Gender,Split\na.png,s.png,male,test\n")
    row, = index.read(tmp_path)
    assert "1 male" in index.remarks(tmp_path)[0]
    assert (row.file, row.sketch, row.gender, row.split) == ("a.png", "s.png", "male", "test")


@pytest.mark.parametrize("header, words, said", [
    ("file,Split", {"a.png,val": "test", "b.png,Training": "train", "c.png,": "", "d.png,test": "test"}, ""),
    ("file,split", {"a.png,held out": ""}, "split must be train, test or blank, not held out"),
    ("file,gender", {"a.png,unknown": "", "b.png,2": ""}, "gender must be female, male or blank, not 2"),
    # in UTKFace 0 is male
    ("file,gender", {"a.png,0": "", "b.png,1": ""}, "gender must be .* not 0, 1; numbers are read in a column Male"),
    ("file,Male", {"a.png,True": "male", "b.png,False": "female", "c.png,1.0": "male", "d.png,-1.0": "female",
                   "e.png,0": "female"}, ""),
    ("file, Male", {"a.png, 1": "male", "b.png,-1": "female", "c.png,Unknown": "", "d.png,N/A": "", "e.png,nan": "",
                    "f.png,-": "", "g.png,other": "", "h.png,": ""}, "")])
def test_words_of_a_table_are_understood_or_refused(header, words, said, tmp_path):
    """A picture marked "val" was dealt to training by chance, and nobody was told."""
    (tmp_path / "labels.csv").write_text(header + "\n" + "".join(f"{line}\n" for line in words))
    if said:
        with pytest.raises(sources.SourceError, match=f"labels.csv: {said}"):
            sources.read_labels(tmp_path / "labels.csv")
        return
    table = sources.read_labels(tmp_path / "labels.csv")
    told = sources.gender_of if "Male" in header else sources.split_label
    assert [told(table[line[0]]) for line in words] == list(words.values())


def test_celebas_landmark_file(tmp_path):
    path = tmp_path / "list_landmarks_align_celeba.txt"
    path.write_text("1\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x "
                    "rightmouth_y\n000001.jpg 69  109  106  113   77  142   73  152  108  154\n")
    points = sources.read_celeba_landmarks(path)["000001"]
    assert points["left_eye"] == (69, 109) and points["mouth_right"] == (108, 154)
    path.write_text(path.read_text() + "000002.jpg 1 2 3\n")
    with pytest.raises(sources.SourceError, match="line 4"):
        sources.read_celeba_landmarks(path)


def test_the_sample_set_is_consistent(samples):
    rows = index.read(samples)
    assert (len(rows) == 8 and {r.gender for r in rows} == {"female", "male"}
            and {r.split for r in rows} == {"train", "test"})
    for row in rows:
        for eye in ("left_eye", "right_eye"):
            assert np.hypot(*np.subtract(row.landmarks[eye], CANONICAL_POINTS[eye])) < 6
