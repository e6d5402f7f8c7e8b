"""Scores of samples, with what is known of the samples."""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Aggregate = Literal["mean", "median", "min", "max"]
_Key = TypeVar("_Key", bound=Hashable)
_TEXTS = ("video", "attack", "subject", "sample")


def factorize(keys: Iterable[_Key]) -> tuple[list[_Key], Integers]:
    """Distinct keys, in order of first occurrence, and (N,) the index of each key among them."""
    known: dict[_Key, int] = {}
    group = [known.setdefault(key, len(known)) for key in keys]
    return list(known), np.array(group, np.int64)


def group_videos(subjects: Iterable[str], videos: Iterable[str]) -> Integers:
    """Number the videos of samples, in order of their first samples: (N,).

    A video is a subject and a name: videos of one name under two subjects are two. A sample without the name
    of a video is a video of its own.
    """
    pairs = enumerate(zip(subjects, videos, strict=True))
    return factorize((subject, video) if video else number for number, (subject, video) in pairs)[1]


@dataclass(frozen=True)
class Scores:
    """Scores of N samples (frames or videos).

    A score that is not a number stands for a failure to acquire. Such samples take no part in error rates;
    their fraction is the non-response rate. Samples of one class alone have the rates of that class only.

    Args:
        score: (N,): probability of attack, or anything else that is higher for attacks.
        label: (N,): 0 = bona fide, 1 = attack.
        video: (N,): name of the video of each sample; empty if unknown, as by default: the sample is then a
            video of its own. Videos of one name under two subjects are two videos.
        attack: (N,): attack species; empty for bona fide samples or if unknown, as by default.
        subject: (N,): name of the person shown, if known.
        sample: (N,): name of the sample itself, a file for instance, if known.

    Raises:
        ValueError: lengths differ, no sample has a score, a label is neither 0 nor 1, or a score is infinite.
            The message tells which.
    """

    score: Floats
    label: Integers
    video: Sequence[str] = ()
    attack: Sequence[str] = ()
    subject: Sequence[str] = field(default=(), repr=False)
    sample: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check the arrays and fill in the defaults."""
        count = len(self.score)
        given: dict[str, Any] = {
            "score": np.asarray(self.score, np.float64),
            "label": np.asarray(self.label),
        }
        for name in _TEXTS:
            texts = getattr(self, name)
            given[name] = texts.tolist() if isinstance(texts, np.ndarray) else texts or [""] * count
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
        if np.isnan(given["score"]).all():
            raise ValueError(f"none of the {count} samples has a score")
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
            [f"{k}/{video}" if video else "" for k, p in enumerate(parts) for video in p.video],
            *([text for p in parts for text in getattr(p, name)] for name in _TEXTS[1:]),
        )

    @cached_property
    def responses(self) -> "Scores":
        """The samples that have a score."""
        kept = ~np.isnan(self.score)
        if kept.all():
            return self
        return self._at(np.flatnonzero(kept))

    @property
    def missing_class(self) -> str | None:
        """The class without a sample that has a score: "bona fide", "attack", or None."""
        bona_fide, attacks = self.by_class
        return "bona fide" if not len(bona_fide) else "attack" if not len(attacks) else None

    def need_both_classes(self) -> None:
        """Raise a ValueError if a class has no sample with a score."""
        if self.missing_class is not None:
            label = int(self.missing_class == "attack")
            failed = (self.label == label).any()
            raise ValueError(
                "metrics of both error rates need samples of both classes, but "
                + ("no" if failed else "there is no")
                + f" {self.missing_class} (label {label}) sample"
                + (" has a score: all are failures to acquire" if failed else "")
            )

    @cached_property
    def by_class(self) -> tuple[Floats, Floats]:
        """The scores of bona fide samples and of attacks, each in ascending order, without failures."""
        scores = self.responses
        bona_fide, attacks = (np.sort(scores.score[scores.label == value]) for value in (0, 1))
        return bona_fide, attacks

    @cached_property
    def counts(self) -> tuple[Floats, Integers, Integers]:
        """Thresholds and, at each, the number of attacks accepted and of bona fide samples rejected.

        The thresholds are finite and ascend: one below all scores, one between any two, one above all.
        """
        bona_fide, attacks = self.by_class
        thresholds = _between(np.unique(np.concatenate([bona_fide, attacks])))
        return thresholds, _below(attacks, thresholds), len(bona_fide) - _below(bona_fide, thresholds)

    @cached_property
    def curves(self) -> tuple[Floats, Floats, Floats]:
        """Thresholds and, at each, the fraction of attacks accepted and of bona fide samples rejected.

        The fractions of a class without samples are NaN.
        """
        thresholds, accepted, rejected = self.counts
        bona_fide, attacks = map(len, self.by_class)
        return thresholds, accepted / (attacks or np.nan), rejected / (bona_fide or np.nan)

    @cached_property
    def accepted_by_species(self) -> list[tuple[Integers, int]]:
        """Of each attack species, how many are accepted at the thresholds of ``counts``, and how many are."""
        scores, thresholds = self.responses, self.counts[0]
        species, attacks = scores.species[1], scores.label == 1
        parts = [np.sort(scores.score[attacks & (species == one)]) for one in np.unique(species[attacks])]
        return [(_below(part, thresholds), len(part)) for part in parts]

    @property
    def has_videos(self) -> bool:
        """Whether the video of any sample is known."""
        return any(self.video)

    @cached_property
    def videos(self) -> Integers:
        """(N,): the number of each sample's video, in order of their first samples."""
        return group_videos(self.subject, self.video)

    @cached_property
    def species(self) -> tuple[list[str], Integers]:
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
        group = self.videos
        _, first = np.unique(group, return_index=True)
        species = self.species[1]
        mixed = (self.label != self.label[first][group]) | (species != species[first][group])
        if mixed.any():
            wrong = int(np.flatnonzero(mixed)[0])
            subject = f" of subject {self.subject[wrong]!r}" if self.subject[wrong] else ""
            raise ValueError(
                f"video {self.video[wrong]!r}{subject} has frames of more than one label or attack species; "
                "videos need names of their own"
            )
        score = _aggregate(self.score, group, len(first), aggregate)
        return replace(self._at(first, score), sample=())

    def flipped(self) -> "Scores":
        """Change the sign of every score: from or to "higher is more bona fide"."""
        return replace(self, score=-self.score)

    def _at(self, places: Integers, score: Floats | None = None) -> "Scores":
        texts = [[getattr(self, name)[i] for i in places.tolist()] for name in _TEXTS]
        return Scores(self.score[places] if score is None else score, self.label[places], *texts)


def group_species(scores: Scores, patterns: Sequence[str]) -> Scores:
    """Judge attack species together: each takes the first of some regular expressions that its name holds.

    Raises:
        ValueError: a species matches no pattern, or a pattern is no regular expression.
    """
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise ValueError(f"species {error.pattern!r} is no regular expression: {error}") from None
    groups = {}
    for name in sorted({name for name, label in zip(scores.attack, scores.label, strict=True) if label}):
        matching = [pattern.pattern for pattern in compiled if pattern.search(name)]
        if not matching:
            raise ValueError(f"attack species {name!r} matches none of {', '.join(map(repr, patterns))}")
        groups[name] = matching[0]
    return replace(scores, attack=[groups.get(name, "") for name in scores.attack])


def _between(levels: Floats) -> Floats:
    """Thresholds half-way between ascending scores, and one below and one above all."""
    outside = max(1e-6, 1e-6 * float(np.abs(levels).max()))
    middle = levels[:-1] / 2 + levels[1:] / 2
    # Half-way between neighboring floating-point numbers is one of them; it must be the upper one.
    middle = np.maximum(middle, np.nextafter(levels[:-1], np.inf))
    return np.concatenate([[levels[0] - outside], middle, [levels[-1] + outside]])


def _below(ascending: Floats, thresholds: Floats) -> Integers:
    return np.searchsorted(ascending, thresholds, "left").astype(np.int64)


def _aggregate(score: Floats, group: Integers, groups: int, aggregate: Aggregate) -> Floats:
    kept = ~np.isnan(score)
    score, group = score[kept], group[kept]
    result = np.full(groups, np.nan)
    counts = np.bincount(group, minlength=groups)
    some = counts > 0
    ordered = score[np.lexsort((score, group))]
    ends = np.cumsum(counts)[some]
    starts = ends - counts[some]
    lowest, highest = ordered[starts], ordered[ends - 1]
    if aggregate == "mean":
        # Rounding must not move the mean of equal scores away from them: ties between videos would break.
        means = np.bincount(group, score, groups)[some] / counts[some]
        result[some] = np.clip(means, lowest, highest)
    elif aggregate == "min":
        result[some] = lowest
    elif aggregate == "max":
        result[some] = highest
    elif aggregate == "median":
        result[some] = (ordered[(starts + ends - 1) // 2] + ordered[(starts + ends) // 2]) / 2
    else:
        raise ValueError(f"aggregate must be 'mean', 'median', 'min' or 'max', not {aggregate!r}")
    return result
