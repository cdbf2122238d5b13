"""Drawing leaves no global state behind."""

import subprocess
import sys


def test_drawing_never_imports_pyplot():
    code = (
        "import sys\n"
        "from cf_pipeline.figures import curves, distributions, panels, scores\n"
        "curves.objective_curve([3.0, 2.0])\n"
        "distributions.split_counts({'train': 2})\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
