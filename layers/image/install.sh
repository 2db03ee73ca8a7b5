#!/bin/sh
# install.sh SET PREFIX: make a virtual environment at PREFIX that holds exactly what
# lock/SET.txt lists, every file checked against its hash, byte-code compiled.
set -eu
here=$(dirname "$0")
ca=/run/secrets/ca
if [ -s "$ca" ]; then # a network that opens HTTPS: trust what the machine trusts
	export SSL_CERT_FILE="$ca"
fi
export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
python=$(sh "$here/python.sh")
uv=/opt/conjured/bin/uv
[ -x $uv ] || "$python" "$here/get-uv.py" "$here/lock/uv.txt" $uv
$uv venv --quiet --python "$python" "$2"
$uv pip sync --require-hashes --compile-bytecode --python "$2/bin/python" "$here/lock/$1.txt"
