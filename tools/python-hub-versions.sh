#!/bin/sh
# Older huggingface_hub versions for test/conformance/hf-python.test.ts, one environment each under .cache/.
set -eu
cd "$(dirname "$0")/.."
for version in 0.36.0 1.16.0; do
  target=".cache/hub-$version"
  if [ -x "$target/bin/python" ] && "$target/bin/python" -c 'import huggingface_hub' 2>/dev/null; then continue; fi
  python3 -m venv "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check "huggingface_hub==$version"
done
