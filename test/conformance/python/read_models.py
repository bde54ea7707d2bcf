"""Reads framed files (length as u32 BE, then bytes) from stdin with the real readers and says what they found.

One JSON line per file: null where the reader refuses, else tensors by name. Usage: read_models.py safetensors|gguf
"""

import json
import struct
import sys
import tempfile

import safetensors


def read_safetensors(content):
    return {name: [info["dtype"], info["shape"]] for name, info in safetensors.deserialize(content)}


def read_gguf(content):
    import gguf

    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(content)
        file.flush()
        reader = gguf.GGUFReader(file.name)
        found = {tensor.name: [tensor.tensor_type.name, [int(size) for size in tensor.shape]] for tensor in reader.tensors}
        keys = [key for key in reader.fields if not key.startswith("GGUF.")]
        return {"tensors": found, "keys": keys}


read = {"safetensors": read_safetensors, "gguf": read_gguf}[sys.argv[1]]
while header := sys.stdin.buffer.read(4):
    content = sys.stdin.buffer.read(struct.unpack(">I", header)[0])
    try:
        answer = read(content)
    except BaseException:
        answer = None
    print(json.dumps(answer), flush=True)
