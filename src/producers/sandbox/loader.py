"""Loads the files of an artifact with the libraries that would really load them, and exercises what comes out.

Runs as the only program in the sandbox: `python -I -B loader.py`. Everything that happens before the phase `load` is ours:
imports, and a control (a harmless artifact of the same format is made, loaded and exercised, so that whatever a library does
once is done). From then on code of the artifact may run, in this very process: nothing that this program says afterwards is
believed beyond being what the process said of itself. What it did is read from the trace, which it cannot reach.
Prints one line of JSON on the standard output that it was started with. Reads /weighbridge/plan.json.
"""

import hashlib
import importlib
import json
import os
import sys
import traceback

PLACES = {"artifact": "/artifact", "plan": "/weighbridge/plan.json", "phases": "/weighbridge/phase/"}
SENTENCES = [
    "A weighbridge is the scale at a port of entry.",
    "Nothing rolls onto the road until it has been weighed.",
    "0 1 2 3",
]
MOST_OUTPUTS = 5000
MOST_TEXT = 300


def mark(phase):
    """Opening a name that does not exist: a line of the trace that says where a phase begins."""
    try:
        os.close(os.open(PLACES["phases"] + phase, os.O_RDONLY))
    except OSError:
        pass


def numpy():
    return importlib.import_module("numpy")


def torch():
    return importlib.import_module("torch")


# Values to baselines


def describe(value):
    """Shape, type and SHA-256 of an array: exact for whole numbers, floats rounded to 3 decimals so that kernels may differ."""
    np = numpy()
    if type(value).__module__.startswith("torch") and hasattr(value, "detach"):
        dtype = str(value.dtype).removeprefix("torch.")
        value = value.detach().cpu()
        if value.is_sparse or value.is_quantized:
            value = value.to_dense() if value.is_sparse else value.dequantize()
        if dtype in ("bfloat16", "float16") or dtype.startswith("float8"):
            value = value.to(torch().float32)
        value = value.numpy()
    else:
        value = np.asarray(value)
        dtype = str(value.dtype)
    if value.dtype.kind in "fc":
        rounded = np.round(value.astype(np.complex128 if value.dtype.kind == "c" else np.float64), 3) + 0.0
        data = np.ascontiguousarray(rounded).tobytes()
    elif value.dtype.kind in "biu":
        data = np.ascontiguousarray(value).tobytes()
    else:
        data = repr(value.tolist()).encode()
    return {"shape": [int(size) for size in value.shape], "dtype": dtype, "sha256": hashlib.sha256(data).hexdigest()}


def collect(prefix, value, outputs):
    """Every array in nested containers, by name, in the order of the names."""
    if len(outputs) >= MOST_OUTPUTS:
        return
    if hasattr(value, "items") and callable(value.items):
        for key in sorted(value, key=str):
            collect(f"{prefix}/{key}", value[key], outputs)
    elif isinstance(value, (list, tuple)) and not all(isinstance(one, (int, float)) for one in value):
        for index, one in enumerate(value):
            collect(f"{prefix}/{index}", one, outputs)
    elif isinstance(value, (int, float, str, bool, list, tuple)) or value is None:
        data = repr(value).encode()
        outputs.append({"name": prefix, "shape": [], "dtype": type(value).__name__, "sha256": hashlib.sha256(data).hexdigest()})
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        outputs.append({"name": prefix, **describe(value)})


def canonical(shape, kind="float32"):
    """Zeros, ones and 0, 1, 2 … scaled to below 1, or whole numbers where indices are expected."""
    np = numpy()
    count = int(np.prod(shape)) if len(shape) else 1
    rising = np.arange(count).reshape(shape)
    if kind.startswith(("int", "uint")):
        return {"zeros": np.zeros(shape, kind), "ones": np.ones(shape, kind), "rising": (rising % 8).astype(kind)}
    if kind == "bool":
        return {"zeros": np.zeros(shape, bool), "ones": np.ones(shape, bool), "rising": rising % 2 == 1}
    scaled = (rising / max(count, 1)).astype(kind)
    return {"zeros": np.zeros(shape, kind), "ones": np.ones(shape, kind), "rising": scaled}


# One class of loader per format. `load` gives what the library gives; `exercise` gives outputs by name, or None where it is
# not known how to call it; `control` writes a harmless artifact and returns its path.


class Pickle:
    libraries = ()
    wished = ("numpy", "scipy", "sklearn", "joblib")

    def load(self, path):
        import pickle

        if "joblib" in sys.modules:
            return sys.modules["joblib"].load(path)
        with open(path, "rb") as file:
            return pickle.load(file)

    def exercise(self, value):
        features = getattr(value, "n_features_in_", None)
        if not isinstance(features, int) or not 0 < features <= 100_000:
            return None
        outputs = {}
        for name, rows in canonical((4, features)).items():
            for method in ("predict", "predict_proba", "transform"):
                if callable(getattr(value, method, None)):
                    outputs[f"{method}/{name}"] = getattr(value, method)(rows)
        return outputs

    def control(self, folder):
        path = os.path.join(folder, "control.pkl")
        if "sklearn" in sys.modules and "joblib" in sys.modules:
            from sklearn.linear_model import LinearRegression

            model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
            sys.modules["joblib"].dump(model, path)
        else:
            import pickle

            with open(path, "wb") as file:
                pickle.dump({"a": [1, 2, 3]}, file)
        return path


class Torch:
    libraries = ("torch", "numpy")
    wished = ("torchvision",)

    def load(self, path):
        import zipfile

        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    return torch().jit.load(path, map_location="cpu")
        return torch().load(path, map_location="cpu", weights_only=False)

    def exercise(self, value):
        if hasattr(value, "state_dict") and callable(value):
            return self.call(value.eval())
        if isinstance(value, (dict, list, tuple)) or hasattr(value, "shape"):
            return {"values": value}
        return None

    def call(self, module):
        """The first layer that says how many inputs it has decides the shape. `modules` also runs for TorchScript."""
        outputs = {"state": module.state_dict()}
        for layer in module.modules():
            for attribute, shape, kind in (
                ("in_features", lambda size: (2, size), "float32"),
                ("num_embeddings", lambda size: (2, 4), "int64"),
                ("in_channels", lambda size: (1, size, 32, 32), "float32"),
            ):
                size = getattr(layer, attribute, None)
                if isinstance(size, int) and 0 < size <= 1_000_000:
                    with torch().no_grad():
                        for name, value in canonical(shape(size), kind).items():
                            outputs[name] = module(torch().from_numpy(value))
                    return outputs
        return outputs

    def control(self, folder):
        path = os.path.join(folder, "control.pt")
        torch().save(torch().nn.Sequential(torch().nn.Linear(2, 2)), path)
        self.exercise(self.load(path))
        torch().save({"weight": torch().ones(2, 2)}, path)
        return path


class Safetensors:
    libraries = ("safetensors", "numpy")
    wished = ("torch",)

    def load(self, path):
        from safetensors import safe_open

        with safe_open(path, framework="pt" if "torch" in sys.modules else "np") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}

    def exercise(self, value):
        return {"tensors": value}

    def control(self, folder):
        from safetensors.numpy import save_file

        path = os.path.join(folder, "control.safetensors")
        save_file({"weight": numpy().ones((2, 2), "float32")}, path)
        return path


class Numpy:
    libraries = ("numpy",)
    wished = ()

    def load(self, path):
        value = numpy().load(path, allow_pickle=True)
        return dict(value.items()) if hasattr(value, "files") else value

    def exercise(self, value):
        return {"values": value}

    def control(self, folder):
        path = os.path.join(folder, "control.npy")
        numpy().save(path, numpy().ones((2, 2)))
        return path


class Onnx:
    libraries = ("onnxruntime", "numpy")
    wished = ()
    def load(self, path):
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    kinds = {
        "tensor(float)": "float32",
        "tensor(double)": "float64",
        "tensor(float16)": "float16",
        "tensor(int64)": "int64",
        "tensor(int32)": "int32",
        "tensor(uint8)": "uint8",
        "tensor(bool)": "bool",
    }

    def exercise(self, session):
        inputs = session.get_inputs()
        if any(one.type not in self.kinds for one in inputs):
            return None
        shaped = {
            one.name: canonical(
                [size if isinstance(size, int) and size > 0 else 2 for size in one.shape], self.kinds[one.type]
            )
            for one in inputs
        }
        names = [one.name for one in session.get_outputs()]
        outputs = {}
        for which in ("zeros", "ones", "rising"):
            answer = session.run(names, {name: values[which] for name, values in shaped.items()})
            outputs[which] = dict(zip(names, answer))
        return outputs

    def control(self, folder):
        """One identity over two floats, IR version 8, opset 13, written field by field (onnx.proto)."""

        def field(number, value):
            if isinstance(value, int):
                return bytes([number << 3, value])
            return bytes([number << 3 | 2, len(value)]) + value

        size = field(1, field(1, 2))
        place = field(2, field(1, field(1, 1) + field(2, size)))
        node = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
        graph = field(1, node) + field(2, b"g") + field(11, field(1, b"x") + place) + field(12, field(1, b"y") + place)
        path = os.path.join(folder, "control.onnx")
        with open(path, "wb") as file:
            file.write(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
        return path


class Keras:
    libraries = ("keras", "numpy")
    wished = ("torch", "h5py")

    def load(self, path):
        keras = importlib.import_module("keras")
        return keras.models.load_model(path, compile=False, safe_mode=False)

    def exercise(self, model):
        shapes = [[size if isinstance(size, int) and size > 0 else 2 for size in one.shape] for one in model.inputs]
        kinds = [str(one.dtype) for one in model.inputs]
        outputs = {}
        for which in ("zeros", "ones", "rising"):
            values = [canonical(shape, kind)[which] for shape, kind in zip(shapes, kinds)]
            answer = model(values if len(values) > 1 else values[0])
            if type(answer).__module__.startswith("torch"):
                answer = answer.detach().cpu().numpy()
            outputs[which] = answer
        return outputs

    def control(self, folder):
        keras = importlib.import_module("keras")
        path = os.path.join(folder, "control.keras")
        keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)]).save(path)
        return path


class Transformers:
    libraries = ("transformers", "torch", "numpy")
    wished = ("safetensors", "tokenizers")

    def load(self, path):
        transformers = importlib.import_module("transformers")
        return transformers.AutoModel.from_pretrained(path, local_files_only=True, trust_remote_code=TRUST)

    def exercise(self, model):
        vocabulary = getattr(model.config, "vocab_size", None)
        if not isinstance(vocabulary, int) or vocabulary < 2:
            return None
        outputs = {}
        with torch().no_grad():
            for name, value in canonical((1, 8), "int64").items():
                answer = model.eval()(input_ids=torch().from_numpy(value % vocabulary))
                outputs[name] = answer[0]
        return outputs

    def control(self, folder):
        transformers = importlib.import_module("transformers")
        path = os.path.join(folder, "control-model")
        config = transformers.BertConfig(
            vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
        transformers.BertModel(config).save_pretrained(path)
        return path


class SentenceTransformers:
    libraries = ("sentence_transformers", "transformers", "torch", "numpy")
    wished = ("safetensors", "tokenizers")

    def load(self, path):
        library = importlib.import_module("sentence_transformers")
        return library.SentenceTransformer(path, device="cpu", local_files_only=True, trust_remote_code=TRUST)

    def exercise(self, model):
        return {"sentences": model.encode(SENTENCES, show_progress_bar=False)}

    def control(self, folder):
        library = importlib.import_module("sentence_transformers")
        transformers = importlib.import_module("transformers")
        inner = Transformers().control(folder)
        vocabulary = os.path.join(inner, "vocab.txt")
        with open(vocabulary, "w") as file:
            file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]))
        transformers.BertTokenizerFast(vocab=vocabulary, vocab_file=vocabulary).save_pretrained(inner)
        try:
            modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
        except ImportError:
            modules = importlib.import_module("sentence_transformers.models")
        words = modules.Transformer(inner)
        path = os.path.join(folder, "control-sentences")
        library.SentenceTransformer(modules=[words, modules.Pooling(8)], device="cpu").save(path)
        return path


LOADERS = {
    "pickle": Pickle(),
    "torch": Torch(),
    "safetensors": Safetensors(),
    "numpy": Numpy(),
    "onnx": Onnx(),
    "keras": Keras(),
    "transformers": Transformers(),
    "sentence-transformers": SentenceTransformers(),
}
TRUST = False


def short(error):
    return f"{type(error).__name__}: {error}"[:MOST_TEXT]


def prepare(name):
    """Imports what a loader needs and wishes, and runs its control. None, or why it cannot load anything."""
    loader = LOADERS[name]
    for library in loader.libraries:
        try:
            importlib.import_module(library)
        except Exception as error:
            return f"`{library}` cannot be imported: {short(error)}"
    for library in loader.wished:
        try:
            importlib.import_module(library)
        except Exception:
            pass
    folder = os.path.join("/tmp", f"control-{name}")
    os.makedirs(folder, exist_ok=True)
    try:
        path = loader.control(folder)
        if path is not None:
            collect("", loader.exercise(loader.load(path)), [])
    except Exception:
        # The control only keeps the trace quiet; whether the artifact loads does not depend on it.
        traceback.print_exc()
    return None


def seed():
    import random

    random.seed(0)
    if "numpy" in sys.modules:
        numpy().random.seed(0)
    if "torch" in sys.modules:
        torch().manual_seed(0)
        torch().set_num_threads(1)


def run_step(step, unavailable):
    loader = LOADERS[step["loader"]]
    report = {"outcome": "unavailable", "detail": unavailable, "exercised": False, "outputs": []}
    if unavailable is not None:
        return report
    try:
        value = loader.load(os.path.join(PLACES["artifact"], step["path"]) if step["path"] else PLACES["artifact"])
    except BaseException as error:
        return {**report, "outcome": "failed", "detail": short(error)}
    report.update(outcome="loaded", detail=None)
    try:
        seed()
        answer = loader.exercise(value)
        if answer is not None:
            collect("", answer, report["outputs"])
            report["exercised"] = True
    except BaseException as error:
        report["detail"] = short(error)
    return report


def versions():
    from importlib import metadata

    names = {"sklearn": "scikit-learn", "sentence_transformers": "sentence-transformers"}
    found = {}
    for loader in LOADERS.values():
        for library in (*loader.libraries, *loader.wished):
            if library in sys.modules:
                name = names.get(library, library)
                try:
                    found[name] = metadata.version(name)
                except Exception:
                    found[name] = "unknown"
    return found


def main():
    global TRUST
    mark("start")
    with open(PLACES["plan"]) as file:
        plan = json.load(file)
    TRUST = plan["trustRemoteCode"]
    # What libraries and artifacts print goes to standard error; the answer keeps a descriptor of its own.
    answer = os.dup(1)
    os.dup2(2, 1)
    unavailable = {}
    for step in plan["steps"]:
        if step["loader"] not in unavailable:
            unavailable[step["loader"]] = prepare(step["loader"])
    seed()
    libraries = versions()
    mark("load")
    steps = [run_step(step, unavailable[step["loader"]]) for step in plan["steps"]]
    # What was loaded may have left exit functions and threads behind: they run now, and are recorded.
    with os.fdopen(answer, "wb") as file:
        file.write(json.dumps({"libraries": libraries, "steps": steps}).encode() + b"\n")


main()
