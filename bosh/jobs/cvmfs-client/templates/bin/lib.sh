# shellcheck shell=bash disable=SC2034
# What the scripts of this job share. It is sourced, and has no ERB in it: values come from settings.sh.
set -euo pipefail

JOB=/var/vcap/jobs/cvmfs-client
PACKAGE=/var/vcap/packages/cvmfs-client
DATA=/var/vcap/data/cvmfs-client
CONFIG=$DATA/etc
RUN_DIR=/var/vcap/sys/run/cvmfs-client
LOG_DIR=/var/vcap/sys/log/cvmfs-client
# shellcheck source=/dev/null
source "$JOB/config/settings.sh"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C

log() {
  printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${0##*/}" "$*"
}

# refuse SENTENCE: what cannot work, once, where BOSH and monit look for it.
refuse() {
  log "refused: $*" >&2
  exit 1
}

# bounded SECONDS COMMAND…: 124 when it has not ended by then. A process on a hanging FUSE mount may be beyond
# every signal, so it is killed and not waited for, unlike with timeout(1).
bounded() {
  local tenths=$(($1 * 10)) pid
  shift
  "$@" &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$tenths" -le 0 ]; then
      kill -KILL "$pid" 2>/dev/null || true
      return 124
    fi
    sleep 0.1
    tenths=$((tenths - 1))
  done
  wait "$pid"
}

# each_mount FUNCTION: calls it with KIND NAME PATH for every mount there should be. The kinds are `plain` and
# `mapped`, the second for unprivileged containers.
each_mount() {
  local each=$1
  # shellcheck disable=SC2317,SC2329 # the lines of repositories.sh call it
  repository() {
    "$each" plain "$1" "$MOUNT_ROOT/$1"
    [ -z "$UNPRIVILEGED_MOUNT_ROOT" ] || "$each" mapped "$1" "$UNPRIVILEGED_MOUNT_ROOT/$1"
  }
  # shellcheck source=/dev/null
  source "$JOB/config/repositories.sh"
}

# Read from the mount table: even stat(2) on the path can hang.
is_mounted() {
  awk -v path="$1" '$5 == path { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# state_of PATH: absent, alive, dead (the client is gone), failing REASON, or hanging.
state_of() {
  local said status=0 stuck=$RUN_DIR/probe.${1//\//_}
  is_mounted "$1" || {
    echo absent
    return
  }
  # One stuck process a mount is enough.
  if [ -s "$stuck.pid" ] && [ -d "/proc/$(<"$stuck.pid")" ]; then
    echo hanging
    return
  fi
  bounded "$PROBE_DEADLINE" probe "$1" "$stuck" || status=$?
  said=$(cat "$stuck.said" 2>/dev/null || true)
  case $status,$said in
    0,*) echo alive ;;
    124,*) echo hanging ;;
    *'Transport endpoint is not connected'*) echo dead ;;
    *) echo "failing ${said##*: }" ;;
  esac
}

# Lists the root directory, for which the client needs its root catalog.
probe() {
  printf '%s\n' "$BASHPID" >"$2.pid"
  exec ls -f "$1/" >/dev/null 2>"$2.said"
}

supervisor_pid() {
  local pid
  [ -s "$RUN_DIR/cvmfs-client.pid" ] || return 1
  pid=$(<"$RUN_DIR/cvmfs-client.pid")
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$JOB/bin/supervisor" || return 1
  printf '%s' "$pid"
}
