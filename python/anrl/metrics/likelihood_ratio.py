"""Cost of scores as log-likelihood ratios: how well they are calibrated, and could be."""

import numpy as np

from anrl.metrics.scores import Scores


def cllr(scores: Scores) -> float:
    """Cllr, the cost of scores read as log-likelihood ratios, in bits: 0 is perfect, 1 knows nothing.

    Brümmer & du Preez, "Application-independent evaluation of speaker detection", Computer Speech and
    Language 2006.

    Args:
        scores: Natural logarithms of the likelihood of an attack over that of a bona fide sample; of a
            probability p of attack, learned from as many samples of either class, log(p / (1 - p)).

    Raises:
        ValueError: a class has no samples.
    """
    scores.need_both_classes()
    bona_fide, attacks = scores.by_class
    cost = np.logaddexp(0, bona_fide).mean() + np.logaddexp(0, -attacks).mean()
    return float(cost / (2 * np.log(2)))


def min_cllr(scores: Scores) -> float:
    """The lowest :func:`cllr` that any calibration of the scores reaches that keeps their order.

    It measures how well scores separate the classes, whatever their scale (Brümmer & du Preez 2006).

    Raises:
        ValueError: a class has no samples.
    """
    scores.need_both_classes()
    bona_fide, attacks = scores.by_class
    levels = np.unique(np.concatenate([bona_fide, attacks]))
    counts = [
        np.bincount(np.searchsorted(levels, part), minlength=len(levels)) for part in (bona_fide, attacks)
    ]
    blocks: list[tuple[int, int]] = []
    # Pool adjacent violators: the share of attacks must not fall from one block to the next.
    for own_bona_fide, own_attacks in zip(*(part.tolist() for part in counts), strict=True):
        block = (own_bona_fide, own_attacks)
        while blocks and blocks[-1][1] * sum(block) >= block[1] * sum(blocks[-1]):
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1])
        blocks.append(block)
    # A block of one class alone costs nothing: its ratio is infinite, and right.
    mixed = np.array([block for block in blocks if all(block)], np.float64).reshape(-1, 2)
    rates = mixed / (len(bona_fide), len(attacks))
    ratio = np.log(rates[:, 1] / rates[:, 0])
    cost = (rates[:, 0] * np.logaddexp(0, ratio)).sum() + (rates[:, 1] * np.logaddexp(0, -ratio)).sum()
    return float(cost / (2 * np.log(2)))
