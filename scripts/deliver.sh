#!/bin/sh
# From the data to a staging endpoint that answers: what CI does, for people as well.
#
#   deliver.sh [PROBLEM...]   without one: every problem of params.yaml
#   deliver.sh --end          ends the staging endpoint and removes its folder
#
# It stops where something fails: at a broken rule of the data, with 42 at a threshold that is
# not kept, at an endpoint that does not answer. What it takes from the environment:
#
#   BASE          commit whose metrics are compared with; none where it is empty
#   BASE_IF_KNOWN another one that may be gone, such as after a forced push
#   REPORT        folder of the report and its figures; build/delivery
#   ROWS          rows that the endpoint is tried with; 50
#   VENV_BIN      folder of Python's commands; .venv/bin
#   STAGING_HOME  folder of the staging endpoint; .pilothouse/staging
#   STAGING_PANEL_PORT, STAGING_SERVING_PORT, STAGING_MLFLOW_PORT, STAGING_RAY_DASHBOARD_PORT
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$*" >&2
    exit 1
}

step() {
    printf '\n== %s\n' "$*"
}

# dvc.yaml calls the `python` on the path.
PATH="${VENV_BIN:-$PWD/.venv/bin}:$PATH"
export PATH

# Staging is an installation of its own: no setting of another one may reach it, its database
# and its cluster least of all.
for name in $(env | sed -nE 's/^((PILOTHOUSE|RAY)_[A-Z0-9_]*)=.*/\1/p'); do
    case "$name" in
        PILOTHOUSE_PARAMS_FILE | PILOTHOUSE_PROBLEM_PACKAGES | PILOTHOUSE_START_TIMEOUT_S) ;;
        *) unset "$name" ;;
    esac
done
export PILOTHOUSE_HOME="${STAGING_HOME:-$PWD/.pilothouse/staging}"
export PILOTHOUSE_PANEL_PORT="${STAGING_PANEL_PORT:-10501}"
export PILOTHOUSE_SERVING_PORT="${STAGING_SERVING_PORT:-10000}"
export PILOTHOUSE_MLFLOW_PORT="${STAGING_MLFLOW_PORT:-7000}"
export PILOTHOUSE_RAY_DASHBOARD_PORT="${STAGING_RAY_DASHBOARD_PORT:-10265}"
report="${REPORT:-build/delivery}"
mark="$PILOTHOUSE_HOME/made-by-deliver"

end_staging() {
    [ -e "$PILOTHOUSE_HOME" ] || return 0
    # Everything in it is removed, so it has to be ours.
    [ -e "$mark" ] || fail "$PILOTHOUSE_HOME was not made by this script; set STAGING_HOME."
    pilothouse down
    rm -rf "$PILOTHOUSE_HOME"
}

if [ "${1:-}" = --end ]; then
    end_staging
    exit
fi
if [ -z "${BASE:-}" ] && git cat-file -e "${BASE_IF_KNOWN:-}^{commit}" 2>/dev/null; then
    BASE="$BASE_IF_KNOWN"
fi
problems="$*"
[ -n "$problems" ] || problems=$(python -c 'from core.params import load_params
from core.settings import load_settings
print(*load_params(load_settings().params_file).problems)')

step "An empty staging installation in $PILOTHOUSE_HOME"
end_staging
mkdir -p "$PILOTHOUSE_HOME"
touch "$mark"

# What others have made, if somebody has set up a remote for it; nothing depends on it.
remote=$(dvc config core.remote || true)
if [ -n "$remote" ]; then
    step "Fetch what is known from the remote $remote"
    dvc fetch --run-cache || echo "Not all of it can be fetched: what is missing is made anew."
fi

step "Ingest, validate, preprocess, train and evaluate: $problems"
for problem in $problems; do
    dvc repro "evaluate@$problem"
done

if [ -n "$remote" ]; then
    step "Push to the remote $remote"
    dvc push --run-cache || echo "It cannot be pushed: the next delivery makes it anew."
fi

step "Hold the metrics against the thresholds"
# shellcheck disable=SC2086 # names of problems are identifiers
pilothouse pipeline report $problems --base "${BASE:-}" --out "$report"

step "Register"
# shellcheck disable=SC2086
pilothouse pipeline register $problems

step "Deploy"
pilothouse up

step "Try the API"
for problem in $problems; do
    python scripts/try_api.py --problem "$problem" --rows "${ROWS:-50}"
done

step "Delivered"
echo "The staging endpoint is http://localhost:$PILOTHOUSE_SERVING_PORT, its panel" \
    "http://localhost:$PILOTHOUSE_PANEL_PORT, the report $report/report.md."
echo "To end it: sh scripts/deliver.sh --end"
