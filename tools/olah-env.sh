#!/bin/sh
# The mirror that bench/olah.bench.ts compares with, in an environment of its own under .cache/.
set -eu
cd "$(dirname "$0")/.."
target=.cache/olah
if [ -x "$target/bin/olah-cli" ]; then exit 0; fi
python3 -m venv "$target"
"$target/bin/pip" install --quiet --disable-pip-version-check olah==0.5.4
