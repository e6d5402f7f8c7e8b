"""Face detection, face meshes of 468 points, and depth maps, offline.

:class:`FaceDetector` finds the faces of images, :func:`depth_map` draws the depth map of a face's mesh.
"""

from anrl.faces.depth import depth_map
from anrl.faces.detector import Face, FaceDetector
from anrl.faces.networks import mesh_triangles

__all__ = ["Face", "FaceDetector", "depth_map", "mesh_triangles"]
