"""Python imports this at its start where `phasewise run` put this folder on the path.

It starts the tracer and then makes way for the environment's own `sitecustomize`.
"""

import importlib
import sys
from pathlib import Path

_here = str(Path(__file__).parent)
sys.path[:] = [entry for entry in sys.path if entry != _here]
sys.modules.pop("sitecustomize", None)

import phasewise  # noqa: E402  # only once this folder is off the path

phasewise.init()

try:
    importlib.import_module("sitecustomize")
except ModuleNotFoundError as error:
    if error.name != "sitecustomize":
        raise
