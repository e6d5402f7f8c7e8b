"""Scores of samples, with what is known of the samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Aggregate = Literal["mean", "median", "min", "max"]


def factorize(names: Sequence[str] | NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct names, in order of first occurrence, and (N,) the index of each name among them."""
    known: dict[str, int] = {}
    if isinstance(names, np.ndarray):
        names = names.tolist()
    group = [known.setdefault(name, len(known)) for name in names]
    return list(known), np.array(group, np.int64)


@dataclass(frozen=True)
class Scores:
    """Scores of N samples (frames or videos).

    A score that is not a number stands for a failure to acquire. Such samples take no part in error rates;
    their fraction is the non-response rate.

    Args:
        score: (N,): probability of attack, or anything else that is higher for attacks.
        label: (N,): 0 = bona fide, 1 = attack.
        video: (N,): name of the video of each sample; by default each is a video of its own.
        attack: (N,): attack species; empty for bona fide samples or if unknown, as by default.
        subject: (N,): name of the person shown, if known.

    Raises:
        ValueError: lengths differ, there are no samples with a score, a class is missing, a label is neither
            0 nor 1, or a score is infinite. The message tells which.
    """

    score: Floats
    label: NDArray[np.int64]
    video: Sequence[str] = ()
    attack: Sequence[str] = ()
    subject: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check the arrays and fill in the defaults."""
        count = len(self.score)
        given: dict[str, Any] = {
            "score": np.asarray(self.score, np.float64),
            "label": np.asarray(self.label),
            "video": self.video if len(self.video) else [str(i) for i in range(count)],
            "attack": self.attack if len(self.attack) else [""] * count,
            "subject": self.subject if len(self.subject) else [""] * count,
        }
        for name, values in given.items():
            if len(values) != count:
                raise ValueError(f"{name}: {len(values)} values for {count} scores")
        label = given["label"]
        if not np.isin(label, (0, 1)).all():
            wrong = label[~np.isin(label, (0, 1))][0]
            raise ValueError(f"label: {wrong!r} is neither 0 (bona fide) nor 1 (attack)")
        given["label"] = label.astype(np.int64)
        if np.isinf(given["score"]).any():
            raise ValueError(f"score: {int(np.isinf(given['score']).sum())} of {count} are infinite")
        for value, kind in ((0, "bona fide (label 0)"), (1, "attack (label 1)")):
            of_class = given["label"] == value
            if not of_class.any():
                raise ValueError(f"metrics need samples of both classes, but there is no {kind} sample")
            if np.isnan(given["score"][of_class]).all():
                raise ValueError(f"no {kind} sample has a score: all are failures to acquire")
        for name, values in given.items():
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        """Return the number of samples N."""
        return len(self.score)

    @staticmethod
    def join(parts: Sequence["Scores"]) -> "Scores":
        """Concatenate the samples of several domains; videos of the same name in two domains stay apart."""
        return Scores(
            np.concatenate([p.score for p in parts]),
            np.concatenate([p.label for p in parts]),
            [f"{k}/{video}" for k, p in enumerate(parts) for video in p.video],
            [attack for p in parts for attack in p.attack],
            [subject for p in parts for subject in p.subject],
        )

    @cached_property
    def responses(self) -> "Scores":
        """The samples that have a score."""
        kept = ~np.isnan(self.score)
        if kept.all():
            return self
        places = np.flatnonzero(kept).tolist()
        texts = [[values[i] for i in places] for values in (self.video, self.attack, self.subject)]
        return Scores(self.score[kept], self.label[kept], *texts)

    @cached_property
    def by_class(self) -> tuple[Floats, Floats]:
        """The scores of bona fide samples and of attacks, each in ascending order, without failures."""
        scores = self.responses
        bona_fide, attacks = (np.sort(scores.score[scores.label == value]) for value in (0, 1))
        return bona_fide, attacks

    @cached_property
    def curves(self) -> tuple[Floats, Floats, Floats]:
        """Thresholds and, at each, the fraction of attacks accepted and of bona fide samples rejected.

        The thresholds are finite and ascend: one below all scores, one between any two, one above all.
        """
        bona_fide, attacks = self.by_class
        thresholds = _between(np.unique(np.concatenate([bona_fide, attacks])))
        return thresholds, _below(attacks, thresholds), 1 - _below(bona_fide, thresholds)

    @cached_property
    def worst_accepted(self) -> Floats:
        """APCER of the worst attack species at every threshold of ``curves``."""
        scores, thresholds = self.responses, self.curves[0]
        species = scores.species[1]
        attacks = scores.label == 1
        worst = np.zeros(len(thresholds))
        for one in np.unique(species[attacks]):
            own = np.sort(scores.score[attacks & (species == one)])
            worst = np.maximum(worst, _below(own, thresholds))
        return worst

    @cached_property
    def videos(self) -> tuple[list[str], NDArray[np.int64]]:
        """Names of the videos, in order of their first samples, and (N,) the index of each sample's video."""
        return factorize(self.video)

    @cached_property
    def species(self) -> tuple[list[str], NDArray[np.int64]]:
        """Names of the attack species and (N,) the index of each sample's.

        The species of bona fide samples has no meaning.
        """
        return factorize(self.attack)

    def by_video(self, aggregate: Aggregate = "mean") -> "Scores":
        """Aggregate the frames' scores to one for every video, in the order of their first frames.

        Args:
            aggregate: "mean", "median", "min" or "max" of a video's frames that have a score. A video without
                any is a failure to acquire.

        Raises:
            ValueError: a video has frames of both classes or of two attack species, or ``aggregate`` is
                unknown.
        """
        names, group = self.videos
        _, first = np.unique(group, return_index=True)
        species = self.species[1]
        mixed = (self.label != self.label[first][group]) | (species != species[first][group])
        if mixed.any():
            name = names[group[mixed][0]]
            raise ValueError(
                f"video {name!r} has frames of more than one label or attack species; videos need names of "
                "their own"
            )
        attack, subject = ([values[i] for i in first.tolist()] for values in (self.attack, self.subject))
        score = _aggregate(self.score, group, len(names), aggregate)
        return Scores(score, self.label[first], names, attack, subject)

    def flipped(self) -> "Scores":
        """Change the sign of every score: from or to "higher is more bona fide"."""
        return replace(self, score=-self.score)


def _between(levels: Floats) -> Floats:
    """Thresholds half-way between ascending scores, and one below and one above all."""
    outside = max(1e-6, 1e-6 * float(np.abs(levels).max()))
    middle = levels[:-1] + np.diff(levels) / 2
    # Half-way between neighboring floating-point numbers is one of them; it must be the upper one.
    middle = np.maximum(middle, np.nextafter(levels[:-1], np.inf))
    return np.concatenate([[levels[0] - outside], middle, [levels[-1] + outside]])


def _below(ascending: Floats, thresholds: Floats) -> Floats:
    return np.searchsorted(ascending, thresholds, "left") / len(ascending)


def _aggregate(score: Floats, group: NDArray[np.int64], groups: int, aggregate: Aggregate) -> Floats:
    kept = ~np.isnan(score)
    score, group = score[kept], group[kept]
    result = np.full(groups, np.nan)
    counts = np.bincount(group, minlength=groups)
    some = counts > 0
    if aggregate == "mean":
        result[some] = np.bincount(group, score, groups)[some] / counts[some]
        return result
    ordered = score[np.lexsort((score, group))]
    ends = np.cumsum(counts)[some]
    starts = ends - counts[some]
    if aggregate == "min":
        result[some] = ordered[starts]
    elif aggregate == "max":
        result[some] = ordered[ends - 1]
    elif aggregate == "median":
        result[some] = (ordered[(starts + ends - 1) // 2] + ordered[(starts + ends) // 2]) / 2
    else:
        raise ValueError(f"aggregate must be 'mean', 'median', 'min' or 'max', not {aggregate!r}")
    return result
