"""A flow whose steps do what the files in a folder say; each writes down that it ran."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from metaflow import FlowSpec, JSONType, Parameter, step


class Steps(FlowSpec):
    folder = Parameter("folder", type=str)
    numbers = Parameter("numbers", type=JSONType, default="[1, 2]")
    loud = Parameter("loud", type=bool, default=False)

    def note(self, name):
        with (Path(self.folder) / "ran.txt").open("a") as file:
            file.write(f"{name}\n")

    @step
    def start(self):
        self.note("start")
        print("starting, loud" if self.loud else "starting")
        self.total = sum(self.numbers)
        self.next(self.work)

    @step
    def work(self):
        self.note("work")
        folder = Path(self.folder)
        if (folder / "fails").exists():
            (folder / "fails").unlink()
            raise ValueError("not today")
        if (folder / "deaf").exists():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if (folder / "waits").exists():
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
            print("waiting")
            while (folder / "waits").exists():
                time.sleep(0.02)
        self.next(self.end)

    @step
    def end(self):
        self.note("end")
        self.odd = object
        self.pid = os.getpid()
        self.words = {"total": self.total, "loud": self.loud}


if __name__ == "__main__":
    Steps()
