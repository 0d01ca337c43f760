#!/usr/bin/env bash
# First process of the container: brings the installation up, stays, brings it down.
set -euo pipefail

starting=
stop() {
    # Only one command may start or stop services at a time.
    if [ -n "$starting" ]; then
        kill "$starting" 2>/dev/null || true
        wait "$starting" || true
    fi
    pilothouse down
    exit 0
}
trap stop TERM INT

pilothouse up &
starting=$!
wait "$starting"
starting=

# Supervisor keeps the services alive; without it the container has no reason to stay.
while kill -0 "$(cat "$PILOTHOUSE_HOME/run/supervisord.pid")" 2>/dev/null; do
    sleep 5 &
    wait $!
done
echo "Supervisor has ended." >&2
exit 1
