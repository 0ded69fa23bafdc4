#!/usr/bin/env bash
# Explains the demo's photographs with Integrated Gradients. Makes .venv first if need be. Can be run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

environment demo
.venv/bin/python -m pipeline method=ig n_steps=200
report=$(ls -t outputs/ig-demo-demo-*/report/index.html | head -n 1)
echo "Open the report in a browser: $PWD/$report"
