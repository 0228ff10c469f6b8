#!/bin/bash
# Makes release/graft-release-VERSION.tgz, and the tarballs of the program for both machines. Runs beside the directories graft, version, bosh-cli and release.
set -euo pipefail
top=$PWD
version=$(cat version/version)
mkdir -p tools
install -m 0755 bosh-cli/bosh-cli-*-linux-amd64 tools/bosh
export PATH=$top/tools:$PATH

cd graft
ci/setup test
ci/build graft
bosh/scripts/stage
bosh/scripts/create-release "$version" "$top/release/graft-release-$version.tgz"
ci/release "$top/release"
