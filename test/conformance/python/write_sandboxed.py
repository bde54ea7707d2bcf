"""Writes models with the real libraries, for the sandbox: usage write_sandboxed.py FOLDER."""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
os.chdir(sys.argv[1])

import joblib
import keras
import numpy
import safetensors.torch
import sklearn.ensemble
import torch

torch.manual_seed(0)
keras.utils.set_random_seed(0)
layer = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
torch.save(layer.state_dict(), "state.pt")
torch.save(layer, "module.pt")
torch.jit.script(layer).save("script.pt")
safetensors.torch.save_file({"a": torch.ones(2, 2, dtype=torch.bfloat16), "b": torch.arange(3)}, "m.safetensors")
numpy.save("values.npy", numpy.arange(3.0))
numpy.savez("values.npz", a=numpy.ones(3))
forest = sklearn.ensemble.RandomForestClassifier(n_estimators=3, random_state=0)
joblib.dump(forest.fit([[0, 1], [1, 0]], [0, 1]), "forest.joblib")
keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)]).save("dense.keras")
