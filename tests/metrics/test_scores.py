"""Scores: checks, videos, joined domains."""

import numpy as np
import pytest

from anrl.metrics import Scores
from support.scores import make


def test_video_score_is_the_mean_of_its_frames():
    frames = make([0.0, 0.2, 1.0, 0.5], [0, 0, 1, 1], video=["b", "b", "a", "a"])
    videos = frames.by_video()
    assert videos.video == ["b", "a"]
    np.testing.assert_allclose(videos.score, [0.1, 0.75])
    with pytest.raises(ValueError, match="'a'"):
        make([0.0, 0.2, 1.0], [0, 1, 1], video=["a", "a", "b"]).by_video()


def test_videos_of_one_name_under_two_subjects_are_two():
    frames = Scores(
        np.array([0.0, 0.2, 1.0, 0.6, 0.4]),
        np.array([0, 0, 1, 1, 0]),
        ["1", "1", "1", "1", ""],
        subject=["a", "a", "b", "b", ""],
    )
    videos = frames.by_video()
    np.testing.assert_allclose(videos.score, [0.1, 0.8, 0.4])
    assert (videos.video, videos.subject, videos.label.tolist()) == (
        ["1", "1", ""],
        ["a", "b", ""],
        [0, 1, 0],
    )
    with pytest.raises(ValueError, match="video '1' of subject 'a' has frames of more than one label"):
        Scores(np.array([0.0, 1.0]), np.array([0, 1]), ["1", "1"], subject=["a", "a"]).by_video()


def test_samples_without_a_video_are_judged_one_by_one():
    alone = Scores(np.array([0.0, 0.2, 1.0]), np.array([0, 0, 1]))
    assert not alone.has_videos and not alone.by_video().has_videos
    np.testing.assert_array_equal(alone.by_video().score, alone.score)
    joined = Scores.join([alone, make([0.5, 0.7], [1, 1], video=["v", "v"])])
    assert joined.has_videos and len(set(joined.videos.tolist())) == 4


def test_the_mean_of_equal_scores_is_that_score():
    frames = make([0.1] * 3 + [0.1] * 7, [0] * 3 + [1] * 7, video=["a"] * 3 + ["b"] * 7)
    assert frames.by_video().score.tolist() == [0.1, 0.1]


def test_joined_domains_keep_their_videos_apart():
    one, two = make([0.0, 1.0], [0, 1], video=["a", "b"]), make([0.5, 0.2], [1, 0], video=["a", "b"])
    joined = Scores.join([one, two]).by_video()
    np.testing.assert_array_equal(joined.score, [0.0, 1.0, 0.5, 0.2])
    np.testing.assert_array_equal(joined.label, [0, 1, 1, 0])


@pytest.mark.parametrize("how", ["mean", "median", "min", "max"])
def test_videos_aggregate_as_numpy_does(how):
    generator = np.random.default_rng(0)
    video = generator.integers(0, 12, 100)
    score = generator.normal(size=100)
    score[generator.random(100) < 0.2] = np.nan
    score[video == 3] = np.nan
    frames = make(
        score, video % 2, video=[f"v{v}" for v in video], attack=["x" if v % 2 else "" for v in video]
    )
    videos = frames.by_video(how)
    for name, value, label in zip(videos.video, videos.score, videos.label, strict=True):
        of_video = score[[f"v{v}" == name for v in video]]
        if np.isnan(of_video).all():
            assert np.isnan(value) and name == "v3"
        else:
            assert value == pytest.approx(getattr(np, f"nan{how}")(of_video))
        assert label == int(name[1:]) % 2
    with pytest.raises(ValueError, match="'mode'"):
        frames.by_video("mode")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([np.nan, np.nan], [0, 1]), "none of the 2 samples has a score"),
        (([], []), "none of the 0 samples has a score"),
        (([0.1, np.inf], [0, 1]), "1 of 2 are infinite"),
        (([0.1, 0.2], [0, 2]), "2.* is neither 0 .* nor 1"),
        (([0.1, 0.2], [0, 1, 1]), "label: 3 values for 2 scores"),
        (([0.1, 0.2], [0, 1], ["a"]), "video: 1 values for 2 scores"),
    ],
)
def test_wrong_scores_are_named(arguments, message):
    score, label, *video = arguments
    with pytest.raises(ValueError, match=message):
        Scores(np.array(score), np.array(label), *video)
