# Sourced by demo.sh and test.sh: `environment EXTRA` makes .venv with the project and that extra, where it is not there yet.
# PYTHON=/path/to/python chooses the interpreter.

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11, 3.12 or 3.13 is needed; ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1)." >&2
    echo "Name another one: PYTHON=/path/to/python3.12 bash $0" >&2
    return 1
}

environment() {
    local python wanted stamp=.venv/installed-$1
    if ! { supported .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
        python=$(find_python)
        echo "Making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv
    fi
    wanted=$(.venv/bin/python -c 'import hashlib; print(hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest())')
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing into .venv: minutes, and about 5.5 GB, where PyTorch is not there yet"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$1]"
        echo "$wanted" >"$stamp"
    fi
}

# `debian COMMAND PACKAGE...` installs Debian packages that tests need, where it may; without them these tests skip and say so.
debian() {
    local command=$1
    shift
    if command -v "$command" >/dev/null; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Some tests are skipped; they need: apt-get install $*" >&2
        return
    fi
    echo "Installing with apt-get: $*"
    { apt-get update && apt-get install --yes --no-install-recommends "$@"; } >/dev/null ||
        echo "They could not be installed: the tests that need them are skipped" >&2
}
