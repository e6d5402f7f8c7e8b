"""An ONNX file of one linear layer on an image, for detectors of others."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_linear(path, weight, bias, size, layout="NCHW", dtype=TensorProto.FLOAT, batch="N"):
    """Writes logits = W · mean over pixels + b; ``weight`` is (3, classes), ``size`` width and height."""
    width, height = size
    sides = [3, height, width] if layout == "NCHW" else [height, width, 3]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    nodes = [
        helper.make_node("Cast", ["image"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"]),
    ]
    constants = {"axes": np.array(axes, np.int64), "weight": weight, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", dtype, [batch, *sides])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, weight.shape[1]])],
        [
            numpy_helper.from_array(values.astype(values.dtype if name == "axes" else "float32"), name)
            for name, values in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
