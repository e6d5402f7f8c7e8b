"""Export of a checkpoint, preprocessing included, to ONNX or to torch's own format."""

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from anrl.atomic_io import replacing
from anrl.checkpoint import Checkpoint
from anrl.deploy.contract import Contract, Limits, to_metadata
from anrl.deploy.deployed_network import DeployedNetwork, contract_of
from anrl.errors import ConfigError, DataError
from anrl.evaluation import RunFolder
from anrl.ops import references_only

FORMATS = (".onnx", ".pt2")


def export(
    checkpoint: Checkpoint | str | os.PathLike[str],
    path: str | os.PathLike[str],
    input: Literal["crop", "image"] = "crop",
    outputs: Sequence[str] = ("score",),
    criterion: str | float = "eer",
    limits: Limits | None = None,
    license: str = "not stated",
) -> Path:
    """Export a checkpoint with its preprocessing to a file that takes 8-bit RGB pixels.

    The file's inputs are ``image``, uint8 (N, H, W, 3) of any N, H and W, and, if asked for, ``box``, int64
    (N, 4): left, top, right, bottom of the crop in pixels, right and bottom exclusive. Its metadata hold the
    threshold, the limits and the preprocessing; see :class:`anrl.deploy.Contract`.

    Args:
        checkpoint: A checkpoint, its file, or the folder of a run, whose best checkpoint is taken.
        path: The file to write: ``.onnx``, or ``.pt2`` for ``torch.export.load``.
        input: "crop": images are crops of faces. "image": images of any content, with ``box``.
        outputs: Some of "score" (P(attack), (N,)), "logits" (N, 2), "depth" (N, 1, h, w) and "features"
            (N, D, h, w).
        criterion: What sets the threshold; see :func:`anrl.metrics.find_threshold`.
        limits: Limits of the input that a verdict needs.
        license: License of the training data, in words.

    Returns:
        The file.

    Raises:
        ConfigError: an argument is wrong, or the packages of ``pip install 'anrl[onnx]'`` are missing.
        DataError: the checkpoint cannot be read, lacks what the criterion needs, or torch cannot export it.
        ValueError: the criterion is unknown.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: the file's name must end with {' or '.join(FORMATS)}")
    if input not in ("crop", "image"):
        raise ConfigError(f"input must be 'crop' or 'image', not {input!r}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    if not isinstance(checkpoint, Checkpoint):
        file = Path(checkpoint)
        checkpoint = Checkpoint.read(RunFolder(file).best if file.is_dir() else file)
    contract = contract_of(checkpoint, criterion, limits, license)
    network = DeployedNetwork(checkpoint.model(), checkpoint.config.transform, outputs)
    write_network(network, contract, path, input)
    return path


def write_network(network: DeployedNetwork, contract: Contract, path: Path, input: str = "crop") -> None:
    """Write a network, its preprocessing and its contract to a file, as :func:`export` describes it.

    Raises:
        ConfigError: packages are missing.
        DataError: torch cannot export the network.
    """
    if path.suffix == ".onnx":
        _need_onnx()
    dynamic, static = torch.export.Dim.DYNAMIC, torch.export.Dim.STATIC
    # Sizes that differ from each other and from the network's own: torch takes equal ones for one.
    size = network.preprocessing.size
    arguments = {"image": torch.zeros(2, size + 6, size + 26, 3, dtype=torch.uint8)}
    names = {"image": {0: "batch", 1: "height", 2: "width"}}
    if input == "image":
        arguments["box"] = torch.tensor([[1, 2, size, size + 1]] * 2)
        names["box"] = {0: "batch"}
    shapes = {
        name: {axis: dynamic if axis in names[name] else static for axis in range(tensor.dim())}
        for name, tensor in arguments.items()
    }
    metadata = to_metadata(contract) | {"anrl.input": input}
    try:
        with torch.no_grad(), references_only(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns of torch's own code
            program = torch.export.export(network, (), arguments, dynamic_shapes=shapes)
            if path.suffix == ".pt2":
                with replacing(path) as partial:
                    extra = {"anrl.json": json.dumps(metadata)}
                    with open(partial, "wb") as stream:
                        torch.export.save(program, stream, extra_files=extra)
                return
            onnx_program = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=list(arguments),
                output_names=list(network.outputs),
                dynamic_shapes=names,
                custom_translation_table={torch.ops.aten.sigmoid.default: _sigmoid},
            )
    except Exception as error:  # torch's exporter raises exceptions of all kinds
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DataError(f"torch cannot export this network: {first.strip()}", path=str(path)) from error
    assert onnx_program is not None
    model = onnx_program.model
    # The exporter notes this machine's files and their lines at every node.
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    with replacing(path) as partial:
        onnx_program.save(str(partial))


def _sigmoid(x: Any) -> Any:
    """Sigmoid with a small relative error, which the dual gate, a ratio of two, needs.

    That of onnxruntime's own operator is small in absolute terms only.
    """
    from onnxscript import opset20 as op

    one: Any = op.Constant(value_float=1.0)
    return op.Reciprocal(op.Add(op.Exp(op.Neg(x)), op.CastLike(one, x)))


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"exporting to ONNX needs {error.name}, which is not installed; run `pip install 'anrl[onnx]'`"
        ) from None
