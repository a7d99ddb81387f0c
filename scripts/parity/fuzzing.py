"""What the fuzz scripts share: drover as a child process, the fixture makers as modules, a report."""
import importlib.machinery
import importlib.util
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def maker(name):
    """One of the make-…-fixtures scripts as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def lines(drover, arguments, values, codes=(0,)):
    """What drover prints, a JSON value a line, for JSON values as its input lines."""
    text = "".join(json.dumps(value) + "\n" for value in values)
    done = subprocess.run([drover, *arguments], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode not in codes:
        sys.exit(f"drover {' '.join(arguments)}: exit {done.returncode}: {done.stderr.decode()[:2000]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Report:
    """Counts comparisons; the first differences of each kind are printed."""

    def __init__(self, shown=5):
        self.shown, self.compared, self.different, self.kinds = shown, 0, 0, {}

    def compare(self, kind, found, expected, about):
        self.compared += 1
        if found == expected:
            return
        self.different += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] <= self.shown:
            print(f"DIFFERS {kind}: {about!r}\n  drover   {found!r}\n  expected {expected!r}", flush=True)

    def end(self):
        print(f"{self.compared} comparisons, {self.different} differ" + (f": {self.kinds}" if self.kinds else ""))
        sys.exit(1 if self.different else 0)
