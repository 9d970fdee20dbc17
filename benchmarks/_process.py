"""Fresh processes, for what a long-lived one cannot tell: memory and import time."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def say(*arguments: str) -> str:
    """What a fresh interpreter prints; what it complains about goes where ours do."""
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return done.stdout
