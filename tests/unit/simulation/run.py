"""Start the simulation from anywhere: `python tests/unit/simulation/run.py --seeds 2000`."""

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[3])
runpy.run_module("tests.unit.simulation.command", run_name="__main__", alter_sys=True)
