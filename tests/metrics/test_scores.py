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
        (([0.1, np.nan], [0, 1]), "no attack .* has a score"),
        (([0.1, np.inf], [0, 1]), "1 of 2 are infinite"),
        (([0.1, 0.2], [0, 0]), "no attack"),
        (([0.1, 0.2], [1, 1]), "no bona fide"),
        (([0.1, 0.2], [0, 2]), "2.* is neither 0 .* nor 1"),
        (([0.1, 0.2], [0, 1, 1]), "label: 3 values for 2 scores"),
        (([0.1, 0.2], [0, 1], ["a"]), "video: 1 values for 2 scores"),
    ],
)
def test_wrong_scores_are_named(arguments, message):
    score, label, *video = arguments
    with pytest.raises(ValueError, match=message):
        Scores(np.array(score), np.array(label), *video)
