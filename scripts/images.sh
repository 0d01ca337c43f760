#!/bin/sh
# Builds the images that docker-compose.yml runs with IMAGE and VERSION, tagged with the version.
#
# What it takes from the environment:
#
#   IMAGE   name of the images; pilothouse. A target's own name is put behind it.
#   PUSH    yes: publish them as well, with provenance and bill of materials attached
set -eu
cd "$(dirname "$0")/.."

version=$(sed -nE 's/^version = "(.*)"$/\1/p' pyproject.toml)
commit=$(git rev-parse HEAD)
image="${IMAGE:-pilothouse}"
targets=$(sed -nE 's/^ +target: *"?([A-Za-z0-9_-]+)"?.*$/\1/p' docker-compose.yml | sort -u)

if [ "${PUSH:-no}" = yes ]; then
    set -- --push --provenance mode=max --sbom true
else
    set -- --load
fi
build() {
    tag="$image-$1:$version"
    shift
    echo "Building $tag."
    docker buildx build "$@" --build-arg "BUILD_COMMIT=$commit" \
        --label "org.opencontainers.image.revision=$commit" \
        --label "org.opencontainers.image.version=$version" --tag "$tag" .
}

for target in $targets; do
    build "$target" "$@" --target "$target"
done
