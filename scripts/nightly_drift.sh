#!/bin/sh
# Checks what was asked lately against what Production learned from. Where drift is critical,
# it trains again if the policy says so, and writes an issue.
#
#   nightly_drift.sh [--issues] [PROBLEM...]   without a problem: every one of params.yaml
#
# --issues opens the issues on GitHub; else they are only written, to OUT/<problem>/issue.md.
# What it takes from the environment:
#
#   OUT        folder of what is written; build/nightly
#   VENV_BIN   folder of the installation's commands; .venv/bin
#
# It fails where a check or a retrain fails, after all problems were looked at. Critical drift
# is no failure, nor is too little data.
set -eu
cd "$(dirname "$0")/.."

PATH="${VENV_BIN:-$PWD/.venv/bin}:$PATH"
export PATH
out="${OUT:-build/nightly}"
issues=no
failed=0
if [ "${1:-}" = --issues ]; then
    issues=yes
    shift
fi
problems="$*"
# -P, because the installation need not be this checkout.
[ -n "$problems" ] || problems=$(python -P -c 'from core.params import load_params
from core.settings import load_settings
print(*load_params(load_settings().params_file).problems)')

fence() {
    # A longer fence than any that a message holds.
    printf '\n`````\n'
    cat "$1"
    printf '`````\n'
}

look_at() {
    problem=$1 folder="$out/$1" code=0
    mkdir -p "$folder"
    rm -f "$folder/issue.md"
    pilothouse drift "$problem" >"$folder/drift.txt" 2>&1 || code=$?
    cat "$folder/drift.txt"
    case "$code" in
        0) return 0 ;;
        3) echo "$problem: not enough data." && return 0 ;;
        42) ;;
        *) return 1 ;;
    esac
    code=0
    pilothouse retrain "$problem" >"$folder/retrain.txt" 2>&1 || code=1
    cat "$folder/retrain.txt"
    {
        echo "The nightly check has found critical drift in what $problem was asked."
        fence "$folder/drift.txt"
        printf '\nWhat the policy of retraining says of it:\n'
        fence "$folder/retrain.txt"
        printf '\nWhat was retrained waits for approval; nothing of it serves by itself.\n'
    } >"$folder/issue.md"
    if [ "$issues" = yes ]; then
        sh scripts/open_issue.sh "Critical drift: $problem" "$folder/issue.md" || code=1
    fi
    return "$code"
}

for problem in $problems; do
    # One that fails does not keep the others waiting.
    look_at "$problem" || failed=1
done
exit "$failed"
