"""Whether a domain is one that a network was trained on."""

from pathlib import Path

from anrl.config.schema import Config
from anrl.data import Domain
from anrl.errors import DataError

COMPARED = (
    "compared with every source of the training: the pack's place (links followed), its name, and if the "
    "source's pack is there some of its images"
)
"""What :func:`trained_on` looks at, in words."""
_IMAGES = 8


def trained_on(domain: Domain, config: Config) -> str | None:
    """Find the source that a domain is, by the pack's place, its name and its images.

    A domain that is renamed, linked or copied is found, too; one with new images under the name of a source
    counts as the same domain.

    Args:
        domain: The domain that is to be unseen.
        config: The configuration of the training.

    Returns:
        The source in words, or None if the domain is unseen.
    """
    for source in config.sources:
        place = Path(config.data) / source.path
        try:
            opened = source.open(config.data)
        except DataError:  # not here: what is known of it is its place and its name
            opened = None
        name = opened.name if opened is not None else source.name or place.name
        if domain.path.resolve() == place.resolve():
            return f"the source {name}, the same pack"
        if domain.name == name:
            return f"the source {name}, by its name"
        if opened is not None and _shares_images(domain, opened):
            return f"the source {name}, by its images"
    return None


def _shares_images(domain: Domain, source: Domain) -> bool:
    """Whether some images of a domain, evenly spaced, are in a source under the same keys, byte for byte."""
    keys = [record.path for record in domain.evenly_spaced(_IMAGES).records]
    known = {record.path for record in source.records}
    return any(
        key in known and (content := domain.stored(key)) is not None and content == source.stored(key)
        for key in keys
    )
