#!/bin/sh
# Makes the Python environment of the tests in .cache/venv: the real writers (torch, numpy, safetensors, gguf, scikit-learn,
# joblib) and the real clients (huggingface_hub, sentence-transformers). Every package is pinned in python-requirements.txt,
# which is a complete list: nothing else is resolved. Idempotent: a second run with the same list does nothing.
# The torch wheel links against the CUDA libraries, so they are in the list; its compiler (triton) is not.
# Usage: tools/python-env.sh   (PYTHON=python3.11 chooses the interpreter)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements="$root/tools/python-requirements.txt"
environment="$root/.cache/venv"
stamp="$environment/.weighbridge-requirements"
if [ -x "$environment/bin/python" ] && [ -f "$stamp" ] && cmp -s "$requirements" "$stamp"; then
  echo "python environment is up to date: $environment"
  exit 0
fi
started=$(date +%s)
[ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
"$environment/bin/python" -c 'import torch, numpy, safetensors, gguf, huggingface_hub, sklearn, joblib; torch.zeros(2)'
cp "$requirements" "$stamp"
size=$(du -sm "$environment" | cut -f1)
echo "python environment made in $(($(date +%s) - started)) s, ${size} MiB: $environment"
