# shellcheck shell=bash disable=SC2034
# What the scripts of this job share. It is sourced, and has no ERB in it: values come from settings.sh.
set -euo pipefail

JOB=/var/vcap/jobs/graft
RUN_DIR=/var/vcap/sys/run/graft
LOG_DIR=/var/vcap/sys/log/graft
PROBE=/var/vcap/data/graft/probe.tar
# shellcheck source=/dev/null
source "$JOB/config/settings.sh"

# mkfs.xfs comes from garden-runc's package or from the stemcell. A package `xfs-progs` of this release would
# collide with garden-runc's of the same name, which is always on the cell.
export PATH=/var/vcap/packages/graft/bin:/var/vcap/packages/xfs-progs/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C

MIB=1048576
# thresholder's smallest store: below it the whole disk is taken instead of what the reserve leaves.
SMALLEST_STORE=$((15 * 1024 * MIB))
STORES=(unprivileged privileged)

log() {
  printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${0##*/}" "$*"
}

# refuse SENTENCE: what cannot work, once, where BOSH and monit look for it.
refuse() {
  log "refused: $*" >&2
  exit 1
}

config_of() {
  printf '%s/config/%s.yml' "$JOB" "$1"
}

store_of() {
  case $1 in
    unprivileged) printf '%s' "$UNPRIVILEGED_STORE" ;;
    privileged) printf '%s' "$PRIVILEGED_STORE" ;;
    *) refuse "there is no store called $1" ;;
  esac
}

store_size_in_mb_of() {
  case $1 in
    unprivileged) printf '%s' "$UNPRIVILEGED_STORE_SIZE_IN_MB" ;;
    privileged) printf '%s' "$PRIVILEGED_STORE_SIZE_IN_MB" ;;
    *) refuse "there is no store called $1" ;;
  esac
}

# on_store NAME VERB…: graft with the configuration that Garden gives it.
on_store() {
  local name=$1
  shift
  graft --config "$(config_of "$name")" "$@"
}

# The largest id of this machine, which Garden maps root of unprivileged containers to. Garden's own program
# answers where it is; otherwise the same rule: the end of the id maps, at most 4294967294.
maximus() {
  local program=/var/vcap/packages/garden-idmapper/bin/maximus
  if [ -x "$program" ]; then
    "$program"
  else
    awk 'BEGIN { least = 4294967294 }
      FNR == 1 { if (NR > 1 && top < least) least = top; top = 0 }
      { end = $1 + $3 - 1; if (end > top) top = end }
      END { if (top < least) least = top; printf "%.0f\n", least }' /proc/self/uid_map /proc/self/gid_map
  fi
}

# Fills the array MAPPINGS for init-store: none for the privileged store.
mappings_of() {
  MAPPINGS=()
  [ "$1" = unprivileged ] || return 0
  local max
  max=$(maximus) || refuse 'the largest id of this machine cannot be found out'
  [[ $max =~ ^[0-9]+$ ]] || refuse "maximus answers '$max', which is no id"
  local range
  for range in "0:$max:1" "1:1:$((max - 1))"; do
    MAPPINGS+=(--uid-mapping "$range" --gid-mapping "$range")
  done
}

# bring_up NAME: makes the store, or mounts it again with the root filesystems of its containers, as after a
# reboot, where monit starts jobs and no pre-start runs. Harmless on a store that is up.
bring_up() {
  local name=$1 said
  mappings_of "$name"
  log "bringing up the $name store at $(store_of "$name")"
  said=$(on_store "$name" init-store "${MAPPINGS[@]}") || refuse "the $name store cannot be brought up: $said"
  [ -z "$said" ] || log "the $name store: $said"
  # A container whose layers are gone, or on a CernVM-FS that is not mounted yet, must not keep new ones away.
  said=$(on_store "$name" init-store --restore-mounts "${MAPPINGS[@]}" 2>&1) ||
    log "the $name store: not every root filesystem could be mounted again: $said" >&2
}

# Process ids in pid files outlive their processes: the command line tells whether it is still the keeper.
keeper_pid() {
  local pid
  [ -s "$RUN_DIR/graft.pid" ] || return 1
  pid=$(<"$RUN_DIR/graft.pid")
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$JOB/bin/keeper" || return 1
  printf '%s' "$pid"
}

# stop_keeper SECONDS: ends the periodic clean, at once where it sleeps, after the running clean otherwise.
# A clean that outlasts the time is killed: it leaves nothing that the next one does not finish.
stop_keeper() {
  local pid seconds=$1 waited=0
  if ! pid=$(keeper_pid); then
    rm -f "$RUN_DIR/graft.pid"
    log 'the keeper is not running'
    return 0
  fi
  kill -TERM "$pid" 2>/dev/null || true
  while [ -d "/proc/$pid" ] && [ "$waited" -lt $((seconds * 10)) ]; do
    sleep 0.1
    waited=$((waited + 1))
  done
  if [ -d "/proc/$pid" ]; then
    log "the keeper still cleans after $seconds s and is killed"
    # It leads its own process group, with the clean in it.
    kill -KILL -- "-$pid" 2>/dev/null || true
  fi
  rm -f "$RUN_DIR/graft.pid"
  log 'the keeper is stopped'
}
