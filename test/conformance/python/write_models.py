"""Writes models with the real writers into the folder given: safetensors, gguf, torch. Every name ends in its format."""

import json
import pathlib
import sys

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file as save_torch

folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)


def array(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


save_numpy({"a": array(3, 5), "b": array(7, dtype=np.float16), "scalar": np.array(2.0)}, folder / "numpy.safetensors")
save_numpy({}, folder / "empty.safetensors")
save_numpy({"none": np.zeros((0, 4), np.float32), "x": array(2)}, folder / "zero.safetensors", metadata={"format": "np"})
tensors = {
    name: torch.zeros(4, 6).to(dtype)
    for name, dtype in {
        "bf16": torch.bfloat16,
        "f8": torch.float8_e4m3fn,
        "f8b": torch.float8_e5m2,
        "bool": torch.bool,
        "i64": torch.int64,
        "u8": torch.uint8,
        "c64": torch.complex64,
    }.items()
}
save_torch(tensors, folder / "torch.safetensors", metadata={"format": "pt", "unicode": "模型 🤗"})


def write(name, endian=gguf.GGUFEndian.LITTLE, alignment=None, template=None, quantised=True):
    writer = gguf.GGUFWriter(folder / name, "llama", endianess=endian)
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_string("general.note", "ünïcode")
    writer.add_array("nested.texts", ["a", "b", ""])
    writer.add_array("nested.numbers", [1, 2, 3])
    writer.add_array("nested.truths", [True, False])
    writer.add_float64("a.double", 0.5)
    writer.add_uint64("a.long", 2**63)
    writer.add_int8("a.byte", -1)
    writer.add_token_list([f"t{i}".encode() for i in range(5000)])
    if template is not None:
        writer.add_chat_template(template)
    writer.add_tensor("odd", array(3))
    writer.add_tensor("half", array(5, 7, dtype=np.float16))
    if quantised:
        blocks = gguf.quants.quantize(array(4, 64), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("quantised", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        blocks = gguf.quants.quantize(array(4, 256), gguf.GGMLQuantizationType.Q4_0)
        writer.add_tensor("q4", blocks, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


write("plain.gguf", template="{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}")
write("aligned.gguf", alignment=64)
write("big-endian.gguf", endian=gguf.GGUFEndian.BIG, quantised=False)
write("hostile.gguf", template="{{ cycler.__init__.__globals__.os.popen('id').read() }}")

model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
torch.save(model.state_dict(), folder / "state.pt")
torch.save(model.state_dict(), folder / "state-legacy.pt", _use_new_zipfile_serialization=False)

types = {
    member.name: [member.value, *gguf.GGML_QUANT_SIZES[member]]
    for member in gguf.GGMLQuantizationType
    if member in gguf.GGML_QUANT_SIZES
}
(folder / "ggml-types.json").write_text(json.dumps(types))
