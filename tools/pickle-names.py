"""Writes the name lists that the pickle rules read: the layer classes of torch.nn and the modules of the standard library.

Usage: .cache/venv/bin/python tools/pickle-names.py   (from the root of the checkout; torch must be installed)
The lists say what exists, not what is allowed: that is decided, with a reason, in src/producers/scan/pickle/reviewed.ts.
"""

import inspect
import json
import pathlib
import platform
import sys

import torch

folder = pathlib.Path(__file__).parent.parent / "src/producers/scan/pickle"

layers = {}
for name in sorted(dir(torch.nn)):
    candidate = getattr(torch.nn, name)
    if inspect.isclass(candidate) and issubclass(candidate, torch.nn.Module):
        layers.setdefault(candidate.__module__, []).append(candidate.__qualname__)

# nt and a few others exist on one platform or version only and are missing from this interpreter's own list
elsewhere = {"__main__", "nt", "ntpath", "_winapi", "winreg", "msvcrt", "_posixsubprocess", "distutils", "imp", "asyncore",
             "asynchat", "smtpd", "_pyrepl", "pip", "_bootlocale", "binhex", "formatter", "parser", "symbol", "macpath",
             "annotationlib", "compression", "concurrent", "_interpreters", "_remote_debugging"}


def write(file, origin, modules):
    text = json.dumps({"origin": origin, "modules": modules}, indent=1)
    (folder / file).write_text(text + "\n")


write(
    "torch-layers.json",
    "torch " + torch.__version__.split("+")[0] + ": classes in torch.nn that derive from torch.nn.Module",
    {module: sorted(names) for module, names in sorted(layers.items())},
)
write(
    "standard-library.json",
    "CPython " + platform.python_version() + " sys.stdlib_module_names, and modules of other platforms and versions",
    sorted(set(sys.stdlib_module_names) | elsewhere),
)
