#!/usr/bin/env bash
# The real clients and a real model server against this tree's gateway: `make test-clients`.
#
# Each lock gets an environment of its own under .venv-clients, made once and kept until the lock changes. Nothing here
# touches the gateway's own .venv, and no client's environment can import the gateway.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python
uv=$PWD/.venv/bin/uv
here=tests/clients
[ -x "$uv" ] || { echo "no .venv here: run \`make install\` first" >&2; exit 1; }

# install NAME: .venv-clients/NAME from locks/NAME.lock
install() {
    local lock=$here/locks/$1.lock env=.venv-clients/$1 want
    want=$(sha256sum "$lock")
    [ "$(cat "$env/.lock" 2>/dev/null)" = "$want" ] && return
    "$uv" venv --quiet --clear --python "$python" "$env"
    "$uv" pip install --quiet --python "$env/bin/python" --require-hashes --requirements "$lock"
    echo "$want" > "$env/.lock"
}

# install_torch ENV: a CPU build, and never anything else. On Linux the plain wheel of the package index is the CUDA
# build, gigabytes of it, so only a wheel whose version says `+cpu` will do; its own needs are in the lock already.
install_torch() {
    local version=2.13.0
    compgen -G "$1/lib/python*/site-packages/torch" > /dev/null && return
    if [ "$(uname -s)" = Linux ]; then version+=+cpu; fi
    "$python" -m pip --python "$1/bin/python" install -qq --no-deps "torch==$version" || echo "\
torch==$version is not to be had: the real model server is left out. Name a folder or an index that has it
by PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL (PyTorch's own index has the CPU builds), and try again." >&2
}

install_node() {
    local stamp=$here/node/node_modules/.lock want
    want=$(sha256sum "$here/node/package-lock.json")
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
    (cd "$here/node" && npm ci --silent --no-audit --no-fund)
    echo "$want" > "$stamp"
}

for lock in clients clients-openai2 server; do install "$lock"; done
install_torch .venv-clients/server
if command -v npm > /dev/null; then install_node; fi
exec "$python" "$here/run.py" "$@"
