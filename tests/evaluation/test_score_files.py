"""Score files: of anrl, and of bob with its other polarity."""

import numpy as np
import pytest

from anrl.data import Domain
from anrl.errors import DataError
from anrl.evaluation import read_scores, write_bob_scores, write_scores
from anrl.evaluation.score import scores_of
from anrl.metrics import Scores, auc, rates

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
    assert scores.videos[0] == [f"{domains[int(v[0])].name}/{v[2:]}" for v in expected.videos[0]]
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


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the file has no lines"),
        ("label,value\n0,1\n", "no column 'score'; there are 'label', 'value'"),
        ("label,score\n0,0.1\n1,high\n", "x.csv:3: 'high' is no score"),
        ("# a comment\nlabel,score\n0,0.1\n2,0.5\n", "x.csv:4: '2' where 0 .bona fide. or 1"),
        (
            "label,score\n0,0.1\n0,0.5\n",
            "x.csv: metrics need samples of both classes, but there is no attack",
        ),
        ("is_bonafide,score\nyes,0.1\n", "x.csv:2: 'yes' where True"),
        ("label,score\n0,0.1\n1,inf\n", "1 of 2 are infinite"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "x.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="none.csv"):
        read_scores(tmp_path / "none.csv")
