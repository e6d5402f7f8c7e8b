"""The protocols of the field that come with the package, one YAML file each."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def protocol_names() -> list[str]:
    """List the protocols by name."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml"))


def protocol_file(name: str) -> Path:
    """Path of a protocol's YAML file."""
    return _FOLDER / f"{name}.yaml"
