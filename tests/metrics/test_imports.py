"""The metrics need numpy and scipy, and nothing heavier."""

import subprocess
import sys


def test_metrics_need_no_torch_sklearn_or_stats_module():
    code = (
        "import sys, anrl.metrics\n"
        "print([m for m in ('torch', 'sklearn', 'scipy.stats', 'matplotlib', 'anrl.data')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
