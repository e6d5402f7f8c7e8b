"""Evaluation of any detector on packs, as :func:`anrl.evaluate` evaluates a checkpoint."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from anrl.data import Domain
from anrl.data.record import Record
from anrl.deploy.crop import Face
from anrl.deploy.detector import Detector, Where
from anrl.errors import DataError
from anrl.evaluation.score import scores_of
from anrl.metrics import Evaluation, Scores, evaluate_scores
from anrl.metrics.scores import Aggregate
from anrl.progress import Progress

Place = Callable[[Record], Where | None] | Literal["whole"] | None
"""Where the face of a sample is: a function of its record, or "whole" if images are crops already."""


def detector_scores(
    detector: Detector,
    domain: Domain,
    where: Place = None,
    use_limits: bool = False,
    progress: Progress | None = None,
) -> Scores:
    """Score every frame of a domain with a detector.

    Args:
        detector: The detector.
        domain: The domain.
        where: Where the faces are; by default at the landmarks of a record that has them, else where
            ``detector.find_faces`` finds them, else "whole" for detectors that do not crop.
        use_limits: Whether frames outside the detector's limits are failures to acquire.
        progress: Told the number of frames done.

    Returns:
        The frames' scores; NaN for failures to acquire.

    Raises:
        DataError: a frame cannot be read, or has no face where the detector needs one.
    """
    values = np.empty(len(domain))
    if use_limits and detector.threshold is None:
        detector = detector.with_threshold(0.5)  # any: only whether there is a verdict counts
    for index in range(len(domain)):
        image, _, record = domain.read(index)
        place = where(record) if callable(where) else where
        if place is None and record.landmarks is not None and detector.find_faces is None:
            place = _marked(detector, record.landmarks)
        try:
            prediction = detector.predict(image, place)
        except ValueError as error:
            raise DataError(str(error), path=str(domain.path), key=record.path) from None
        values[index] = np.nan if use_limits and prediction.verdict is None else prediction.score
        if progress is not None:
            progress(index + 1, len(domain), f"scoring {domain.name}")
    return scores_of(domain, values)


def _marked(detector: Detector, landmarks: tuple[float, ...]) -> Where | None:
    """The face of landmarks, for detectors that crop to them; others take the image as it is."""
    kinds = {member.crop.kind for member in detector.members}
    return Face.from_landmarks(landmarks) if kinds == {"landmarks"} else None


def score_pack(
    detector: Detector,
    domain: Domain,
    criterion: str | float | None = None,
    validation: Scores | None = None,
    *,
    where: Place = None,
    use_limits: bool = False,
    aggregate: Aggregate = "mean",
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a detector of any origin on a domain.

    Args:
        detector: The detector.
        domain: The domain.
        criterion: What sets the threshold on ``validation``, as in :func:`anrl.evaluate`; by default the
            detector's own threshold is taken.
        validation: Scores of validation data by the same detector; see :func:`detector_scores`.
        where: See :func:`detector_scores`.
        use_limits: See :func:`detector_scores`.
        aggregate: How a video's score is made of those of its frames.
        progress: Told the number of frames done.

    Returns:
        What :func:`anrl.evaluate` returns for a checkpoint.

    Raises:
        ValueError: there is neither a criterion nor a threshold, the criterion is unknown, or validation
            scores are missing.
        DataError: a frame cannot be scored.
    """
    if criterion is None:
        if detector.threshold is None:
            raise ValueError("the detector has no threshold: give a criterion, or a number")
        criterion = detector.threshold.value
    frames = detector_scores(detector, domain, where, use_limits, progress)
    return evaluate_scores({domain.name: frames}, validation, criterion, aggregate=aggregate)


def largest_deviation(
    first: Detector, second: Detector, domain: Domain, where: Place = None, progress: Progress | None = None
) -> float:
    """Compute the largest difference of two detectors' scores on the frames of a domain.

    Raises:
        DataError: a frame cannot be scored.
    """
    scores = [
        detector_scores(detector, domain, where, progress=progress).score for detector in (first, second)
    ]
    return float(np.abs(scores[0] - scores[1]).max())
