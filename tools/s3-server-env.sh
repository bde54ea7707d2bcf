#!/bin/sh
# Makes .cache/moto-venv: moto's server, the other implementation of S3 that the s3:// source is tested with. Kept apart from
# .cache/venv, because its dependencies pin versions that other tools do not want.
set -eu
cd "$(dirname "$0")/.."
venv=.cache/moto-venv
wanted='moto[server]==5.2.1'
if [ -x "$venv/bin/moto_server" ] && [ "$(cat "$venv/.installed" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wanted"
printf '%s\n' "$wanted" > "$venv/.installed"
