#!/bin/sh
# Puts what a release carries beside the images into dist/: bill of materials and licences.
#
#   release_files.sh TAG   refuses a tag that is not the version of pyproject.toml
set -eu
cd "$(dirname "$0")/.."

version=$(sed -nE 's/^version = "(.*)"$/\1/p' pyproject.toml)
if [ "$1" != "v$version" ]; then
    echo "The tag $1 is not the version of pyproject.toml, v$version." >&2
    exit 1
fi
make sbom
mkdir -p dist
cp docs/licences.md requirements.lock dist/
