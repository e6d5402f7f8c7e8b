"""PEP 517 backend: maturin, with the interpreter that runs the build first on PATH.

torch-sys asks whatever ``python3`` it finds on PATH where libtorch is. With pip from a virtual
environment that is not activated, that would be another interpreter.
"""

import os
import sys

from maturin import *  # noqa: F403

os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
