"""Lists, CSV files and folders: what is read, what is refused, and what is left out with a word."""

import os

import pytest

from anrl.data import read_csv, read_folder, read_list, read_samples, read_sources
from anrl.errors import DataError


def write(file, text, encoding="utf-8"):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding)
    return file


def touch(folder, *names):
    for name in names:
        write(folder / name, "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_do_not_matter(tmp_path, encoding, end):
    lines = end.join(["live/ä.jpg 0", "attack/b.jpg 1", ""])
    assert [r.path for r in read_list(write(tmp_path / "list.txt", lines, encoding))] == [
        "live/ä.jpg",
        "attack/b.jpg",
    ]
    lines = end.join(["Filename,Subject,Attack_Type", "a.jpg,7,", "b.jpg,8,print", ""])
    records = read_csv(write(tmp_path / "list.csv", lines, encoding))
    assert [(r.path, r.label, r.subject, r.attack) for r in records] == [
        ("a.jpg", 0, "7", ""),
        ("b.jpg", 1, "8", "print"),
    ]


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_other_encodings_are_named(tmp_path, name):
    with pytest.raises(DataError, match=f"{name}: is in UTF-16; save it as UTF-8"):
        read_samples(write(tmp_path / name, "filename,label\na.jpg,0\n", "utf-16"))
    with pytest.raises(DataError, match=f"{name}, line 2: is not UTF-8"):
        read_samples(write(tmp_path / name, "filename,label\nä.jpg,0\n", "latin-1"))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_files_of_any_separator_are_read(tmp_path, separator):
    rows = [("FILENAME", "label", "video"), ("my face, 1.jpg", "0", "v 1"), ("b.jpg", "1", "v2")]
    text = "".join(separator.join(f'"{v}"' if "," in v else v for v in row) + "\n" for row in rows)
    # By its header, the file is CSV whatever it is called.
    for name in ("list.csv", "list.tsv"):
        records = read_samples(write(tmp_path / name, text))
        assert [(r.path, r.label, r.video) for r in records] == [
            ("my face, 1.jpg", 0, "v 1"),
            ("b.jpg", 1, "v2"),
        ]


@pytest.mark.parametrize(
    "line, path, label",
    [
        ("live/my face 1.jpg 0", "live/my face 1.jpg", 0),
        ("a 1 b 0.png 1", "a 1 b 0.png", 1),
        ('"my face.jpg" 1', "my face.jpg", 1),
        ("my face.jpg\t1", "my face.jpg", 1),
        ("key without suffix 0", "key without suffix", 0),
        ("key 1 0.5 7", "key", 1),
        ("a.jpg 1 0.1 0.2 0.3 0.4", "a.jpg", 1),
    ],
)
def test_the_label_stands_behind_the_name_whatever_is_in_it(tmp_path, line, path, label):
    (record,) = read_list(write(tmp_path / "list.txt", line + "\n"))
    assert (record.path, record.label) == (path, label)


def test_names_with_spaces_may_have_landmarks(tmp_path):
    marks = " ".join(str(v) for v in range(10))
    (record,) = read_list(write(tmp_path / "list.txt", f"my face.jpg 1 0.1 0.2 0.3 0.4 {marks}\n"))
    assert (record.path, record.landmarks) == ("my face.jpg", tuple(map(float, range(10))))


@pytest.mark.parametrize(
    "text, message",
    [
        ("# path label subject video\na.jpg 0 John Smith clip1\n", "line 2: 5 values for 4 columns.*quotes"),
        ("# path label subject\na.jpg 0\n", "line 2: no value for column 'subject'; .* written as -"),
        ("# path label attack\na.jpg 0 print\n", "line 2: label 0 .* contradicts the attack species 'print'"),
        ("# path label attack\na.jpg 1 real\n", "line 2: column 'attack': 'real' is no attack species"),
        ("# path label attack\na.jpg 0 none\n", "line 2: column 'attack': 'none' is no attack species"),
        ("# path label path\na.jpg 0 b.jpg\n", "columns must include path and label .* each once"),
        ("a.jpg live\n", "line 1: label must be 0 .* not 'live'"),
        ("a.jpg,0\n", "line 1: expected a path and a label"),
    ],
)
def test_lines_of_lists_that_contradict_themselves_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=f"list.txt.*{message}"):
        read_list(write(tmp_path / "list.txt", text))


@pytest.mark.parametrize(
    "row, message",
    [
        ("a.jpg,0,print", "label 0 .* contradicts the attack species 'print'"),
        ("a.jpg,1,", "label 1 .* contradicts the empty attack_type"),
        ("a.jpg,0,-", "label 0 .* contradicts the attack_type '-'"),
        ("a.jpg,1,bona-fide", "'bona-fide' is no attack species; leave it empty"),
        ("a.jpg,1,NaN", "'NaN' is no attack species"),
        ("a.jpg,1,print,x", "4 values for 3 columns"),
        ("a.jpg,1", "2 values for 3 columns"),
        (",1,print", "no path"),
        ('a.jpg,1,"print', "cannot be read as CSV"),
    ],
)
def test_rows_of_csv_that_contradict_themselves_are_refused(tmp_path, row, message):
    file = write(tmp_path / "list.csv", f"filename,label,attack_type\nok.jpg,1,print\n{row}\n")
    with pytest.raises(DataError, match=f"list.csv, line 3: .*{message}"):
        read_csv(file)


def test_an_attack_of_unknown_species_is_written_as_a_dash(tmp_path):
    text = "filename,label,attack_type\na.jpg,0,\nb.jpg,1,-\n"
    assert [(r.label, r.attack) for r in read_csv(write(tmp_path / "list.csv", text))] == [(0, ""), (1, "")]


def test_a_column_with_nearly_the_right_name_is_warned_of(tmp_path):
    file = write(tmp_path / "list.csv", "filename,attack_type,subjects,camera\na.jpg,,7,x\n")
    with pytest.warns(UserWarning, match="the column subjects is not used; is it subject"):
        read_csv(file)


def test_depth_maps_of_attacks_are_warned_of(tmp_path):
    file = write(tmp_path / "list.txt", "# path label depth\na.jpg 0 d.png\nb.jpg 1 e.png\n")
    with pytest.warns(UserWarning, match="the depth maps of 1 attacks are not used"):
        assert [r.depth for r in read_list(file)] == ["d.png", None]


@pytest.mark.parametrize(
    "paths, videos",
    [
        (["live/a.jpg 0", "live/b.jpg 0", "attack/a.jpg 1", "attack/b.jpg 1"], {""}),
        (["img/a.jpg 0", "img/b.jpg 1", "img/c.jpg 0"], {""}),
        (["good/a.jpg 0", "good/b.jpg 0", "bad/a.jpg 1", "bad/b.jpg 1"], {""}),
        (["live/c1/a.jpg 0", "live/c2/a.jpg 0", "attack/c1/a.jpg 1"], {"live/c1", "live/c2", "attack/c1"}),
        (["a.jpg 0", "b.jpg 1"], {""}),
    ],
)
def test_a_folder_is_a_video_only_where_it_can_be_one(tmp_path, paths, videos):
    records = read_list(write(tmp_path / "list.txt", "\n".join(paths) + "\n"))
    assert {r.video for r in records} == videos
    for path in paths:
        touch(tmp_path / "tree", path.split()[0])
    if paths[0].startswith("live"):
        assert {r.video for r in read_folder(tmp_path / "tree")} == videos


def test_files_that_are_left_out_are_counted_and_named(tmp_path):
    touch(tmp_path, "live/a.jpg", "attack/a.PNG", "live/b.bmp", "live/c.webp", "attack/._a.PNG")
    touch(tmp_path, "__MACOSX/live/a.jpg", "notes")
    with pytest.warns(UserWarning, match="left out 5 files") as warned:
        assert len(read_folder(tmp_path)) == 2
    text = str(warned[0].message)
    for part in ("1 .bmp (live/b.bmp)", "1 .webp", "1 hidden (attack/._a.PNG)", "1 in __MACOSX", "(notes)"):
        assert part in text


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "elsewhere/a.jpg", "tree/attack/b.jpg")
    (tmp_path / "tree/live").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "elsewhere")
    assert [r.path for r in read_folder(tmp_path / "tree")] == ["attack/b.jpg", "live/a.jpg"]


def test_folders_of_clips_are_no_species_unless_told(tmp_path):
    touch(tmp_path, "attack/c1/a.jpg", "attack/c2/a.jpg", "attack/photo/c3/a.jpg", "live/c1/a.jpg")
    assert {r.attack for r in read_folder(tmp_path) if r.label} == {"", "photo"}
    told = read_folder(tmp_path, attack_folders=True)
    assert {r.attack for r in told if r.label} == {"c1", "c2", "photo"}


def test_files_that_a_depth_rule_names_are_no_samples(tmp_path):
    touch(tmp_path, "live/a.jpg", "live/a_depth.png", "attack/b.jpg", "attack/b_depth.png")
    records = read_folder(tmp_path, depth_rule="{folder}/{stem}_depth.png")
    assert [(r.path, r.depth) for r in records] == [
        ("attack/b.jpg", None),
        ("live/a.jpg", "live/a_depth.png"),
    ]


def test_a_class_folder_itself_may_be_read(tmp_path):
    touch(tmp_path, "x/live/a.jpg", "x/attack/a.jpg", "y/real/b.jpg")
    records, root = read_sources([tmp_path / "x/live", tmp_path / "x/attack"])
    assert {(r.path, r.label) for r in records} == {("live/a.jpg", 0), ("attack/a.jpg", 1)}
    assert root == tmp_path / "x"
    write(tmp_path / "y/list.txt", "# path label depth\nreal/b.jpg 0 d.png\n")
    records, root = read_sources([tmp_path / "x", tmp_path / "y/list.txt"])
    assert {r.path for r in records} == {"x/live/a.jpg", "x/attack/a.jpg", "y/real/b.jpg"}
    assert {r.depth for r in records} == {None, "y/d.png"} and root == tmp_path


def test_names_that_are_not_utf_8_are_named(tmp_path):
    touch(tmp_path, "live/a.jpg")
    with open(os.fsencode(tmp_path) + b"/live/\xff.jpg", "wb"):
        pass
    with pytest.raises(DataError, match=r"live/\\xff.jpg: the name is not UTF-8; rename"):
        read_folder(tmp_path)
