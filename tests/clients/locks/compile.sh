#!/usr/bin/env bash
# Compile every *.in beside this file into a hash-locked *.lock that names no host. UPGRADE=1 takes newer versions.
set -euo pipefail
cd "$(dirname "$0")"
uv=../../../.venv/bin/uv
for source in *.in; do
    "$uv" pip compile "$source" --quiet ${UPGRADE:+--upgrade} --excludes excludes.txt --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file "${source%.in}.lock"
done
