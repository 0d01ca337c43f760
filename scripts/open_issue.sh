#!/bin/sh
# Opens an issue on GitHub, or adds a comment where one with this title is open already.
#
#   open_issue.sh TITLE FILE
#
# It asks GitHub's command line, which needs GH_TOKEN.
set -eu
TITLE=$1
file=$2
export TITLE

number=$(gh issue list --state open --limit 500 --json number,title \
    --jq '[.[] | select(.title == env.TITLE) | .number] | first // empty')
if [ -n "$number" ]; then
    gh issue comment "$number" --body-file "$file"
else
    gh issue create --title "$TITLE" --body-file "$file"
fi
