"""What CPython imports when it unpickles: the oracle of pickle-cpython.test.ts.

Reads streams (4-byte big-endian length, bytes) from standard input and writes one JSON line for each: the (module, name)
pairs that `find_class` was asked for by the C unpickler on a BytesIO, by the C unpickler on a buffered reader, and by the
pure-Python unpickler. Nothing is imported or called: every object is a Ghost that accepts everything.
"""

import copyreg
import io
import json
import pickle
import resource
import struct
import sys

resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for code in (1, 2, 300, 70000):
    copyreg.add_extension("extension", "code%d" % code, code)


class Ghost:
    def __new__(cls, *args, **keywords):
        return object.__new__(cls)

    def __init__(self, *args, **keywords):
        pass

    def __call__(self, *args, **keywords):
        return Ghost()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass

    def add(self, value):
        pass


def recorder(base):
    class Recorder(base):
        def find_class(self, module, name):
            seen.append((module, name))
            return Ghost

        def persistent_load(self, identifier):
            return Ghost()

    return Recorder


CRecorder = recorder(pickle.Unpickler)
PythonRecorder = recorder(pickle._Unpickler)
seen = []


def run(unpickler, file):
    seen.clear()
    for _ in range(6):
        try:
            unpickler(file).load()
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            break
    return list(dict.fromkeys(seen))


def main():
    source, sink = sys.stdin.buffer, sys.stdout
    while True:
        header = source.read(4)
        if len(header) < 4:
            return
        data = source.read(struct.unpack(">I", header)[0])
        readings = [
            run(CRecorder, io.BytesIO(data)),
            run(CRecorder, io.BufferedReader(io.BytesIO(data))),
            run(PythonRecorder, io.BytesIO(data)),
        ]
        sink.write(json.dumps(readings))
        sink.write("\n")


main()
