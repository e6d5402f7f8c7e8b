"""Images of samples, with attention maps and depth maps of a network."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from anrl.data import Domain, Transform, evaluation_batches
from anrl.models.base import Model
from anrl.nn import evaluation_mode


def plot_samples(domain: Domain, count: int = 8) -> Figure:
    """Show samples of a domain: a row for bona fide ones and for each attack species.

    Args:
        domain: The samples.
        count: Maximum number of each kind, evenly spread over the domain.

    Raises:
        DataError: an image cannot be read.
    """
    kinds: dict[str, list[int]] = {}
    for index, record in enumerate(domain.records):
        kind = f"attack\n{record.attack}".strip() if record.label else "bona fide"
        kinds.setdefault(kind, []).append(index)
    figure = Figure(figsize=(1.2 * count + 1, 1.3 * len(kinds) + 0.4), layout="constrained")
    figure.suptitle(domain.name)
    rows = figure.subplots(len(kinds), count, squeeze=False)
    for axes, (kind, members) in zip(rows, sorted(kinds.items()), strict=True):
        shown = np.unique(np.linspace(0, len(members) - 1, count).round().astype(int))
        for place in axes:
            place.set(xticks=[], yticks=[])
            place.set_frame_on(False)
        for place, position in zip(axes, shown, strict=False):
            place.imshow(domain.read(members[position]).image)
        axes[0].set_ylabel(kind, fontsize="small")
    return figure


def plot_attention(model: Model, domain: Domain, transform: Transform, count: int = 4) -> Figure:
    """Show where in an image the network finds evidence for an attack, by Grad-CAM.

    Below every image is its map: the features of the extractor, weighted by the mean gradient of the
    difference of the two logits, without negative parts, divided by the map's largest value; the title is
    P(attack). (Selvaraju et al.: Grad-CAM, ICCV 2017.)

    Args:
        model: The network.
        domain: The domain whose samples to show, evenly spread.
        transform: The preprocessing of a sample.
        count: Number of bona fide samples, and of attacks.
    """
    image, shown, label, _ = _examples(model, domain, transform, count)
    with evaluation_mode(model), torch.enable_grad():
        features = model.extract(image).detach().requires_grad_()
        logits = model.classify(features)
        (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), features)
    maps = torch.relu((features * gradient.mean((2, 3), keepdim=True)).sum(1)).detach()
    maps = maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-12)
    score = logits.detach().softmax(1)[:, 1].tolist()
    large = torch.nn.functional.interpolate(maps[:, None], shown.shape[1:3], mode="bilinear")[:, 0]
    titles = [f"{'attack' if c else 'bona fide'}, {p:.2f}" for c, p in zip(label, score, strict=True)]
    figure, rows = _rows(len(shown), titles, domain.name, 2)
    for column, (picture, attention) in enumerate(zip(shown, large.cpu().numpy(), strict=True)):
        rows[0][column].imshow(picture)
        rows[1][column].imshow(picture.mean(2), cmap="gray")
        rows[1][column].imshow(attention, cmap="inferno", alpha=0.55, vmin=0, vmax=1)
    return figure


def plot_depth(model: Model, domain: Domain, transform: Transform, count: int = 4) -> Figure:
    """Show images, target depth maps (zero for attacks) and the depth maps that the network predicts.

    Args:
        model: The network.
        domain: The domain whose samples to show, evenly spread.
        transform: The preprocessing of a sample.
        count: Number of bona fide samples, and of attacks.
    """
    image, shown, label, depth = _examples(model, domain, transform, count)
    with evaluation_mode(model), torch.inference_mode():
        predicted = model(image).depth[:, 0].cpu().numpy()
    titles = ["attack" if c else "bona fide" for c in label]
    figure, rows = _rows(len(shown), titles, domain.name, 3)
    for column in range(len(shown)):
        rows[0][column].imshow(shown[column])
        rows[1][column].imshow(depth[column], cmap="viridis", vmin=0, vmax=1)
        rows[2][column].imshow(predicted[column], cmap="viridis", vmin=0, vmax=1)
    for row, name in zip(rows, ("image", "target", "predicted"), strict=True):
        row[0].set_ylabel(name)
    return figure


def _examples(
    model: Model, domain: Domain, transform: Transform, count: int
) -> tuple[Tensor, NDArray[np.uint8], list[int], NDArray[np.float32]]:
    """Load network inputs (n, C, S, S), pictures (n, S, S, 3), labels and depth maps (n, D, D) of samples."""
    kinds = [domain.of_class(label).evenly_spaced(count) for label in (0, 1) if label in domain.labels]
    parameter = next(model.parameters())
    plain = Transform(image_size=transform.image_size, color="rgb", output="uint8")
    images, pictures, labels, depths = [], [], [], []
    for kind in kinds:
        for batch, picture in zip(
            evaluation_batches(kind, count, transform), evaluation_batches(kind, count, plain), strict=True
        ):
            images.append(transform.normalize(batch.image))
            pictures.append(picture.image.permute(0, 2, 3, 1).numpy())
            labels += batch.label.tolist()
            depths.append(batch.depth.numpy())
    image = torch.cat(images).to(parameter.device, parameter.dtype)
    return image, np.concatenate(pictures), labels, np.concatenate(depths)


def _rows(columns: int, titles: Sequence[str], title: str, count: int) -> tuple[Figure, NDArray[np.object_]]:
    figure = Figure(figsize=(1.3 * columns + 0.6, 1.4 * count + 0.5), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(count, columns, squeeze=False)
    for place in rows.flat:
        place.set(xticks=[], yticks=[])
    for place, text in zip(rows[0], titles, strict=True):
        place.set_title(text, fontsize="small")
    return figure, rows
