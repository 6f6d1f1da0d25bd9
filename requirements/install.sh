#!/bin/sh
# install.sh LOCK: installs one lock file into /opt/venv inside an image build; leaves no installer behind.
set -eu
lock=$1
venv=/opt/venv
# The machine's own CA bundle where it has one: a company's proxy is often in it and in nothing else.
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -f "$bundle" ]; then export PIP_CERT="$bundle" SSL_CERT_FILE="$bundle"; fi
python3 -m venv /tmp/uv
/tmp/uv/bin/pip install --quiet --disable-pip-version-check --no-cache-dir uv==0.13.9
[ -d "$venv" ] || python3 -m venv --without-pip "$venv"
# --no-deps: a lock file is complete. Bytecode is compiled now, because pods have a read-only root.
/tmp/uv/bin/uv pip install --quiet --python "$venv/bin/python" --no-deps --link-mode copy --compile-bytecode -r "$lock"
rm -rf /tmp/uv
