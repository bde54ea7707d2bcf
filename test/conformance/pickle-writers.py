"""Files by the real writers for pickle-torch.test.ts: `good*` must be clean, `library*` not malicious, the rest malicious.

Usage: pickle-writers.py FOLDER. The payload is only written, never loaded.
"""

import collections
import datetime
import decimal
import os
import pickle
import shutil
import sys
import zipfile

import joblib
import numpy
import torch
from sklearn.linear_model import LogisticRegression

folder = sys.argv[1]
torch.manual_seed(1)


def path(name):
    return os.path.join(folder, name)


class Payload:
    def __reduce__(self):
        return os.system, ("touch /tmp/x",)


model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(3, 4)).sum().backward()
optimizer.step()
torch.save(model.state_dict(), path("good-state.pt"))
torch.save(model.state_dict(), path("good-legacy.pt"), _use_new_zipfile_serialization=False)
torch.save(model, path("good-module.pt"))
torch.save(
    {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "types": [torch.zeros(3, dtype=kind) for kind in (torch.bfloat16, torch.float16, torch.int8, torch.bool, torch.complex64)],
        "values": [torch.Size([1, 2]), torch.float16, torch.device("cpu"), torch.nn.Parameter(torch.zeros(2))],
        "sparse": torch.eye(3).to_sparse(),
        "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        "bytes": b"\x80\x01\x02",
    },
    path("good-checkpoint.pt"),
)
for protocol in range(6):
    values = [
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        collections.Counter("ab"),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        datetime.timedelta(1),
        decimal.Decimal("1.5"),
        {1, 2},
        frozenset([1]),
        bytearray(b"ab"),
        1j,
        slice(1, 2),
        range(3),
        b"\x80\x01",
        2**100,
        -1.5,
        "\u4e16\U0001f600\udc80",
    ]
    with open(path(f"good-values-{protocol}.pkl"), "wb") as file:
        pickle.dump(values, file, protocol)
    arrays = {
        "array": numpy.arange(6.0).reshape(2, 3),
        "scalar": numpy.float32(1.5),
        "dtype": numpy.dtype([("a", "f4")]),
        "objects": numpy.array(["a", None], dtype=object),
        "tensor": torch.zeros(3),
        "big": numpy.zeros(100_000),
    }
    with open(path(f"good-arrays-{protocol}.pkl"), "wb") as file:
        pickle.dump(arrays, file, protocol)
    with open(path(f"evil-{protocol}.pkl"), "wb") as file:
        pickle.dump({"weights": [1, 2], "payload": Payload()}, file, protocol)
classifier = LogisticRegression().fit(numpy.arange(8).reshape(4, 2), [0, 1, 0, 1])
with open(path("library-classifier.pkl"), "wb") as file:
    pickle.dump(classifier, file)
joblib.dump(classifier, path("library-classifier.joblib"))
torch.save({"weights": torch.zeros(2), "payload": Payload()}, path("evil-torch.pt"))
torch.save({"weights": torch.zeros(2), "payload": Payload()}, path("evil-legacy.pt"), _use_new_zipfile_serialization=False)

with zipfile.ZipFile(path("evil-torch.pt")) as archive:
    payload = archive.read("evil-torch/data.pkl")
shutil.copy(path("good-state.pt"), path("twice.pt"))
shutil.copy(path("good-state.pt"), path("hidden-extra.pt"))
with zipfile.ZipFile(path("twice.pt"), "a") as archive:
    archive.writestr("good-state/data.pkl", payload)
with zipfile.ZipFile(path("hidden-extra.pt"), "a") as archive:
    archive.writestr("good-state/notes.txt", payload)


def rewrite(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            new.writestr(member, change(member, old.read(member)))


rewrite(path("good-state.pt"), path("hidden-storage.pt"), lambda name, data: payload if name.endswith("data/0") else data)
rewrite(path("good-state.pt"), path("short-storage.pt"), lambda name, data: data[:4] if name.endswith("data/0") else data)
