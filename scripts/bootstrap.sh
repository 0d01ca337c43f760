#!/bin/sh
# Set-up that comes before there is a virtual environment to run anything in.
#
#   bootstrap.sh packages VENV LOCK   makes VENV and installs what LOCK pins, and this code
#   bootstrap.sh wrk                  installs the load generator of the benchmarks, or says it is missing
#   bootstrap.sh chromium             sees to it that a Chromium is there for the browser test
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3 /usr/bin/python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 was not found; install it (on Debian 12: apt-get install python3 python3-venv)" \
        "or set PYTHON to it."
}

make_venv() {
    [ -x "$1/bin/python" ] && "$1/bin/python" -m pip --version >/dev/null 2>&1 && return
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "Python 3.11 lacks its module venv; install it (on Debian: apt-get install python3-venv)."
    echo "Making $1 with $("$python" --version)."
    "$python" -m venv "$1"
}

# Turns pip's lines into one line every 20 packages; all of them are in the log.
summarize() {
    awk -v total="$1" '
        /^(Collecting|Requirement already satisfied)/ {
            if (++seen % 20 == 0) printf "  %d of %d packages fetched\n", seen, total
        }
        /^Installing collected packages/ { print "  unpacking" }
        { fflush() }'
}

install_packages() {
    venv=$1 lock=$2 log=$1/setup.log
    make_venv "$venv"
    total=$(grep -c '^[a-zA-Z0-9].*==' "$lock")
    echo "Installing $total packages from $lock; the first time this takes a few minutes."
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    status=$(mktemp)
    # Two packages come as source archives of pure Python. The locked setuptools, put in
    # first, makes wheels of them, so that nothing outside the lock is fetched.
    sed -n '/^setuptools==/,/^    # via/p' "$lock" >"$venv/setuptools.lock"
    {
        "$venv/bin/python" -m pip install --no-deps --require-hashes -r "$venv/setuptools.lock" &&
            "$venv/bin/python" -m pip install --no-deps --require-hashes --no-build-isolation \
                --use-pep517 --progress-bar off -r "$lock" &&
            "$venv/bin/python" -m pip install --no-deps --no-build-isolation -e . ||
            echo failed >"$status"
    } 2>&1 | tee "$log" | summarize "$total"
    if [ -s "$status" ]; then
        rm -f "$status"
        tail -n 5 "$log" >&2
        fail "The packages could not be installed; the whole story is in $log."
    fi
    rm -f "$status"
    echo "The packages are installed."
}

have_chromium() {
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

install_chromium() {
    have_chromium && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing Chromium for the browser test."
        apt-get update -q && apt-get install -q -y --no-install-recommends chromium
    fi
    have_chromium || fail "The browser test needs Chromium; install it (on Debian: apt-get install chromium)."
}

install_wrk() {
    command -v wrk >/dev/null 2>&1 && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing wrk for the benchmark of serving."
        # No reason to stop if it fails: wrk is looked for below.
        { apt-get update -q && apt-get install -q -y --no-install-recommends wrk; } || true
    fi
    # The other benchmarks need no wrk, so this is no failure.
    command -v wrk >/dev/null 2>&1 ||
        echo "The benchmark of serving, the last, will fail: it needs wrk (on Debian:" \
            "apt-get install wrk)." >&2
}

case "${1:-}" in
    packages) install_packages "$2" "$3" ;;
    chromium) install_chromium ;;
    wrk) install_wrk ;;
    *) fail "Usage: bootstrap.sh packages VENV LOCK | chromium | wrk" ;;
esac
