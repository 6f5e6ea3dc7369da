"""The crash matrix as a program: `.venv/bin/python tests/crash/run.py --kills-per-boundary 100`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "tests.crash", *sys.argv[1:]])
