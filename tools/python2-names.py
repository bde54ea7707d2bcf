"""Writes src/artifact/formats/pickle/python2-names.json from this interpreter's own `_compat_pickle`.

Usage: python3 tools/python2-names.py > src/artifact/formats/pickle/python2-names.json
The tables are data of CPython (Python Software Foundation licence); the origin is recorded in the file.
"""

import _compat_pickle
import json
import platform
import sys

json.dump(
    {
        "origin": "CPython " + platform.python_version() + " Lib/_compat_pickle.py: IMPORT_MAPPING, NAME_MAPPING",
        "modules": dict(sorted(_compat_pickle.IMPORT_MAPPING.items())),
        "names": {
            "\n".join(old): "\n".join(new) for old, new in sorted(_compat_pickle.NAME_MAPPING.items())
        },
    },
    sys.stdout,
    indent=1,
)
print()
