"""Score files: of anrl, and of bob with its other polarity."""

from pathlib import Path

import numpy as np
import pytest

from anrl.data import Domain
from anrl.errors import DataError
from anrl.evaluation import read_scores, write_bob_scores, write_scores
from anrl.evaluation.score import scores_of
from anrl.evaluation.score_files import read_score_file
from anrl.metrics import Scores, auc, rates

DATA = Path(__file__).parent / "score_files"

BOB = """claimed_id,test_label,is_bonafide,attack_type,score
x0,x0_1,True,,1.294497
x2,x2_0,True,,27.149229
x2,y1_0,False,print,-3.5
x4,y1_1,False,replay,1.5
"""


def test_our_files_keep_everything(packs, tmp_path):
    domains = [Domain.open(p) for p in packs[:2]]
    draws = np.random.default_rng(0)
    parts = [(d, scores_of(d, draws.random(len(d)))) for d in domains]
    parts[0][1].score[3] = np.nan
    write_scores(tmp_path / "scores.csv", parts)
    scores = read_scores(tmp_path / "scores.csv")
    expected = Scores.join([part for _, part in parts])
    np.testing.assert_array_equal(scores.score, expected.score)
    np.testing.assert_array_equal(scores.label, expected.label)
    assert list(scores.attack) == list(expected.attack) and list(scores.subject) == list(expected.subject)
    assert scores.video == [f"{domains[int(v[0])].name}/{v[2:]}" for v in expected.video]
    assert scores.videos.tolist() == expected.videos.tolist() and scores.sample == expected.sample
    assert not list(tmp_path.glob(".*partial"))


def test_bobs_polarity_is_turned_and_turned_back(tmp_path):
    (tmp_path / "bob.csv").write_text(BOB)
    scores = read_scores(tmp_path / "bob.csv")
    assert scores.label.tolist() == [0, 0, 1, 1]
    assert scores.score.tolist() == [-1.294497, -27.149229, 3.5, -1.5]
    assert list(scores.attack) == ["", "", "print", "replay"]
    assert auc(scores) == 0.75 and rates(scores, -1.4).accepted_by_attack["replay"].count == 1
    write_bob_scores(tmp_path / "again.csv", scores)
    assert (tmp_path / "again.csv").read_text().splitlines() == BOB.splitlines()


def test_bobs_frames_are_grouped_by_video_key():
    file = read_score_file(DATA / "bobvideo_eval.csv")
    assert file.grouping == "300 frames in 60 videos by video_key and claimed_id" and file.is_bob
    videos = file.scores.by_video()
    assert len(videos) == 60 and (videos.label == 0).sum() == 30
    assert videos.score[0] == pytest.approx(file.scores.score[:5].mean())


def test_bobs_lines_of_one_name_are_samples_of_their_own(tmp_path):
    # bob names samples, not videos: these share a name, and differ in label and species.
    lines = ["a,s,True,,2.0", "a,s,False,print,1.0", "a,s,False,replay,-1.0", "b,s,True,,nan", "b,t,True,,"]
    (tmp_path / "bob.csv").write_text(
        "claimed_id,test_label,is_bonafide,attack_type,score\n" + "\n".join(lines)
    )
    file = read_score_file(tmp_path / "bob.csv")
    assert len(file.scores.by_video()) == 5 and not file.scores.has_videos
    assert file.grouping == "5 lines, each judged by itself: none names a video (video_key)"
    assert np.isnan(file.scores.score).tolist() == [False, False, False, True, True]


def test_bob_reads_what_is_written_for_it(tmp_path):
    scores = Scores(
        np.array([0.1, 0.2, 0.9, np.nan]),
        np.array([0, 0, 1, 1]),
        ["v", "v", "v", "w"],
        ["", "", "x", "x"],
        list("abca"),
    )
    write_bob_scores(tmp_path / "bob.csv", scores)
    again = read_scores(tmp_path / "bob.csv")
    np.testing.assert_array_equal(again.score, scores.score)
    assert again.videos.tolist() == scores.videos.tolist() == [0, 1, 2, 3]
    assert len(set(zip(again.subject, again.sample, strict=True))) == 4


def test_a_video_is_a_subject_and_a_name(tmp_path):
    lines = [
        f"{label},0.{label}{frame},1,{subject}"
        for subject, label in (("a", 0), ("b", 1), ("c", 0))
        for frame in (1, 2)
    ]
    (tmp_path / "x.csv").write_text("\n".join(["label,score,video,subject", *lines, "1,0.5,,"]))
    file = read_score_file(tmp_path / "x.csv")
    assert file.grouping == (
        "7 frames in 4 videos by video and subject; 1 name no video and are judged by themselves"
    )
    assert file.scores.by_video().score.tolist() == pytest.approx([0.015, 0.115, 0.015, 0.5])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_spreadsheets_are_read(tmp_path, separator, start, end):
    rows = [
        ["Label", " Score ", "Attack"],
        ["0", "0.5", ""],
        ["1", "1e-3", "é print"],
        ["1", ".7", '"a,b;c\td"'],
    ]
    text = end.join(separator.join(row) for row in rows) + end + end
    (tmp_path / "x.csv").write_bytes(start + text.encode())
    scores = read_scores(tmp_path / "x.csv")
    assert scores.score.tolist() == [0.5, 0.001, 0.7]
    assert scores.attack == ["", "é print", "a,b;c\td"]


def test_columns_of_lists_are_known_and_others_are_named(tmp_path):
    text = "filename,label,score,attack_type,video_key,fold\na.jpg,1,0.5,print,v,3\nb.jpg,0,0.5,,w,3\n"
    (tmp_path / "x.csv").write_text(text)
    file = read_score_file(tmp_path / "x.csv")
    assert (file.scores.sample, file.scores.attack) == (["a.jpg", "b.jpg"], ["print", ""])
    assert (file.scores.video, file.unread) == (["v", "w"], ["fold"])


def test_other_encodings_are_named(tmp_path):
    (tmp_path / "x.csv").write_bytes("label,score\n".encode("utf-16"))
    with pytest.raises(DataError, match="x.csv: the file is UTF-16; save it as CSV UTF-8"):
        read_scores(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(b"label,score,attack\n0,1,\n1,2,\xe9\n")
    with pytest.raises(DataError, match="x.csv:3: the line is no UTF-8"):
        read_scores(tmp_path / "x.csv")


def test_fields_hold_line_breaks_quotes_and_number_signs(tmp_path):
    scores = read_scores(DATA / "newline_field.csv")
    assert len(scores) == 120 and scores.video[:2] == ["v\n0", "v\n1"]
    (tmp_path / "x.csv").write_text('label,score,video\n0,1,"a\n# b\n\n""c"\n1,oops,d\n')
    with pytest.raises(DataError, match="x.csv:6: 'oops' is no score"):
        read_scores(tmp_path / "x.csv")
    names = ["#1", "a,b", 'c"d', "e\nf", "[red]"]
    scores = Scores(np.arange(5.0), np.array([0, 1, 1, 1, 1]), names, ["", *names[1:]], names)
    write_bob_scores(tmp_path / "bob.csv", scores)
    again = read_scores(tmp_path / "bob.csv")
    assert (again.video, again.attack[1:], again.subject) == (names, names[1:], names)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the file has no lines"),
        ("label,value\n0,1\n", "no column 'score'; there are 'label', 'value'"),
        ("label,score\n0,0.1\n1,high\n", "x.csv:3: 'high' is no score"),
        ("# a comment\nlabel,score\n0,0.1\n2,0.5\n", "x.csv:4: '2' where 0 .bona fide. or 1"),
        ("is_bonafide,score\nyes,0.1\n", "x.csv:2: 'yes' where True"),
        ("label,score\n0,0.1\n1,inf\n", "x.csv:3: the score 'inf' is not finite"),
        (
            "label,score\n0,0.1\n1,nan\n",
            "x.csv:3: the score is 'nan'; leave it empty if nothing was acquired",
        ),
        ("label,score\n0,0.1\n1,1_0\n", "x.csv:3: '1_0' is no score"),
        ("label,score\n0,\n1,\n", "x.csv: none of the 2 samples has a score"),
        ("label,score,attack\n0,0.1,\n1,0.2\n", "x.csv:3: 2 fields, where the header names 3 columns"),
        ("label,score\n0,0.1\n1,0.2,print\n", "x.csv:3: 3 fields, where the header names 2 columns"),
        ("label,score\n0,0.1\n# 1,0.2,9\n1,0.3\n", "x.csv:3: 3 fields"),
        ("label,score,Score\n0,0.1,0.2\n", "x.csv:1: there are two columns 'score'"),
        ('label,score,video\n0,0.1,"a\n1,0.2,b\n', "x.csv:2: .*is a quote missing"),
        ("label,score,attack\n0,0.1,print\n", "x.csv:2: the sample is bona fide, and its attack is 'print'"),
        (
            "label,score,attack\n1,0.1,Bona-Fide\n",
            "x.csv:2: the sample is an attack, and its attack is 'Bona-",
        ),
        ("label,score,attack\n1,0.1,None\n", "x.csv:2: attack is 'None'; leave it empty if the species is"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "x.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="none.csv"):
        read_scores(tmp_path / "none.csv")
