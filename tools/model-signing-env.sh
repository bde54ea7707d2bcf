#!/bin/sh
# Makes .cache/model-signing-venv: Python's model-signing, the other implementation that verifies our OMS bundles.
# Kept apart from .cache/venv, because its dependencies pin versions that other tools do not want. pyOpenSSL is what
# model-signing imports without declaring it.
set -eu
cd "$(dirname "$0")/.."
venv=.cache/model-signing-venv
wanted='model-signing==1.1.1 pyopenssl==26.4.0'
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.installed" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
rm -rf "$venv"
python3 -m venv "$venv"
# shellcheck disable=SC2086 # two requirements, two words
"$venv/bin/python" -m pip install --quiet $wanted
printf '%s\n' "$wanted" > "$venv/.installed"
