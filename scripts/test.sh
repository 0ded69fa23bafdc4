#!/usr/bin/env bash
# Checks style, types and imports, and runs the tests; arguments go to pytest. Makes .venv first if need be. Can be run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

environment test
# ViRelAy says that it needs Pillow below 11, and works with ours: tests open exports with it.
.venv/bin/python -c 'import virelay' 2>/dev/null ||
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps virelay==0.6.1
debian slurmctld slurmctld slurmd slurm-client munge
debian chromium chromium fonts-dejavu-core
.venv/bin/python -c 'import cv2' 2>/dev/null || debian libGL.so.1 libgl1 libglib2.0-0  # which Quantus' OpenCV links
.venv/bin/ruff check
.venv/bin/ruff format --check
.venv/bin/mypy
.venv/bin/lint-imports
# A process for each of up to four cores, with one thread: most tests are too small for more. Files stay whole.
OMP_NUM_THREADS=1 .venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
