#!/bin/sh
# Install programs that only tests use, where that can be done without asking: as root, with apt-get. Never fails the build:
# a test that misses its program skips and says so.
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v strace >/dev/null 2>&1 || missing="$missing strace"
command -v bwrap >/dev/null 2>&1 || missing="$missing bubblewrap"
command -v slirp4netns >/dev/null 2>&1 || missing="$missing slirp4netns"
# the Node.js that comes inside the wheels of Playwright and basedpyright links it
ldconfig -p 2>/dev/null | grep -q libatomic.so.1 || missing="$missing libatomic1"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "==> not here:$missing (tests that need them skip)"
  exit 0
fi
echo "==> installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086 # a list of names
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
  echo "==> could not install$missing (tests that need them skip):"
  tail -3 "$log"
fi
rm -f "$log"
