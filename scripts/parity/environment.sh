# Sourced by the scripts beside it: sets PYTHON to an interpreter that has requirements.txt installed.
#
# DROVER_PARITY_VENV names a virtual environment to use as it is; without it one is made (once) in .build/parity-venv.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$here/../.." && pwd)"
environment="${DROVER_PARITY_VENV:-$repository/.build/parity-venv}"
if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
fi
if [ -z "${DROVER_PARITY_VENV:-}" ] && ! cmp -s "$here/requirements.txt" "$environment/requirements.txt"; then
    "$environment/bin/pip" install -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$environment/requirements.txt"
fi
PYTHON="$environment/bin/python"
