"""Times faces beside LiteRT and OpenCV: ``python benchmarks/bench_faces.py [OUT.csv]``.

A 640 x 480 frame with one face: detection, mesh, and a depth map of 128 x 128 of a crop 1.3 times as large as
the detected box, on one thread. The peer does the same with ai-edge-litert 2.3.0 (XNNPACK), OpenCV and numpy;
its depth map is painted triangle by triangle, the furthest first. All take turns in one process; medians of
CPU time count, and only ratios mean anything.

Goals: the whole at least 2 times faster than the peer, a depth map in less than 0.1 ms.
"""

import csv
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from skimage.data import astronaut

from anrl import _anrl
from anrl.faces import FaceDetector, depth_map, mesh_triangles
from anrl.faces.networks import FULL_RANGE, MESH, SHORT_RANGE, read_weights

ROUNDS = 300
Floats = NDArray[np.float32]


class Network:
    """A network in LiteRT, on one thread."""

    def __init__(self, name: str) -> None:
        """Reads one of the package's files."""
        self.interpreter = Interpreter(model_content=read_weights(name), num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.outputs = [output["index"] for output in self.interpreter.get_output_details()]

    def run(self, image: Floats) -> list[Floats]:
        """The outputs for one image."""
        self.interpreter.set_tensor(self.input, image[None])
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(output)[0] for output in self.outputs]


class Peer:
    """Detector and mesh as one writes them with LiteRT, OpenCV and numpy."""

    def __init__(self) -> None:
        """Reads the networks."""
        self.detector, self.mesh = Network(SHORT_RANGE), Network(MESH)
        anchors = []
        for side, count in ((16, 2), (8, 6)):
            y, x = np.mgrid[:side, :side]
            anchors.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, 0) / side + 0.5 / side)
        self.anchors = np.concatenate(anchors)

    def detect(self, image: NDArray[np.uint8]) -> Floats:
        """The mesh (468, 3) of the surest face."""
        height, width = image.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = cv2.copyMakeBorder(
            image, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT
        )
        small = cv2.resize(square, (128, 128), interpolation=cv2.INTER_LINEAR)
        boxes, logits = self.detector.run(small.astype(np.float32) / 127.5 - 1)
        scores = 1 / (1 + np.exp(-logits[:, 0].clip(-80, 80)))
        sure = np.flatnonzero(scores >= 0.5)
        boxes, scores = boxes[sure].reshape(-1, 8, 2) / 128, scores[sure]
        boxes[:, [0, 2, 3, 4, 5, 6, 7]] += self.anchors[sure, None]
        corners = np.concatenate([boxes[:, 0] - boxes[:, 1] / 2, boxes[:, 0] + boxes[:, 1] / 2], 1)
        best = corners[scores.argmax()]
        shared = np.minimum(corners[:, 2:], best[2:]) - np.maximum(corners[:, :2], best[:2])
        shared = shared.clip(0).prod(1)
        areas = (corners[:, 2:] - corners[:, :2]).prod(1)
        same = shared / (areas + areas[scores.argmax()] - shared) > 0.3
        box, *points = np.average(
            np.concatenate([corners[same].reshape(-1, 2, 2), boxes[same, 2:4]], 1), 0, scores[same]
        ) * side - [left, top]
        box, (right_eye, left_eye) = np.array([box, points[0]]), points[1:]
        center, size = box.mean(0), 1.5 * np.ptp(box, axis=0).max()
        dx, dy = (left_eye - right_eye) / np.linalg.norm(left_eye - right_eye)
        turn = np.array([[dx, -dy], [dy, dx]]) * size / 192
        matrix = np.column_stack([turn, center - turn @ [96, 96]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(image, matrix, (192, 192), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        mesh, presence = self.mesh.run(crop.astype(np.float32) / 255)
        assert presence.item() > 0
        mesh = mesh.reshape(468, 3)
        return np.column_stack([mesh[:, :2] @ matrix[:, :2].T + matrix[:, 2], mesh[:, 2] * size / 192])


def paint(mesh: Floats, size: int, box: Floats) -> Floats:
    """A depth map whose triangles are painted from the furthest to the nearest."""
    triangles = mesh_triangles()
    depth = mesh[triangles, 2].mean(1)
    points = ((mesh[:, :2] - box[:2]) * size / (box[2:] - box[:2])).round().astype(np.int32)
    near, far = depth.min(), depth.max()
    out = np.zeros((size, size), np.float32)
    for i in depth.argsort()[::-1]:
        level = 0.2 + 0.8 * float((far - depth[i]) / (far - near))
        cv2.fillConvexPoly(out, points[triangles[i]], level)
    return out


def main() -> None:
    """Measures and prints a table."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    frame = np.ascontiguousarray(cv2.resize(astronaut()[:384], (640, 480), interpolation=cv2.INTER_AREA))
    ours, peer = FaceDetector(num_threads=1), Peer()
    face = ours.detect([frame])[0][0]
    crop = face.box + 0.15 * (face.box[2] - face.box[0]) * np.array([-1, -1, 1, 1], np.float32)
    distance = np.linalg.norm(peer.detect(frame)[:, :2] - face.mesh[:, :2], axis=1).mean()
    print(f"{_anrl.vector_unit()}; the meshes differ by {distance:.2f} pixels in the mean")
    noise = np.random.default_rng(0).random((192, 192, 3)).astype(np.float32)

    def network(name: str, size: int) -> tuple[Callable[[], object], Callable[[], object]]:
        image = np.ascontiguousarray(noise[:size, :size])
        mine, theirs = _anrl.FaceNetwork(read_weights(name)), Network(name)
        return lambda: mine.run(image), lambda: theirs.run(image)

    def whole_of_ours() -> None:
        first = ours.detect([frame])[0][0]
        depth_map(first.mesh, 128, crop)

    pairs = {
        "network: short range": network(SHORT_RANGE, 128),
        "network: full range": network(FULL_RANGE, 192),
        "network: mesh": network(MESH, 192),
        "detector + mesh": (lambda: ours.detect([frame]), lambda: peer.detect(frame)),
        "depth map": (lambda: depth_map(face.mesh, 128, crop), lambda: paint(face.mesh, 128, crop)),
        "detector + mesh + depth": (whole_of_ours, lambda: paint(peer.detect(frame), 128, crop)),
    }
    rows = []
    for name, works in pairs.items():
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for work, taken in zip(works, times, strict=True):
                start = time.process_time()
                work()
                taken.append(time.process_time() - start)
        mine, theirs = map(statistics.median, times)
        rows.append((name, f"{mine * 1e3:.3f}", f"{theirs * 1e3:.3f}", f"{theirs / mine:.2f}"))
    columns = ("", "anrl, ms", "LiteRT + OpenCV, ms", "times faster")
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])


if __name__ == "__main__":
    main()
