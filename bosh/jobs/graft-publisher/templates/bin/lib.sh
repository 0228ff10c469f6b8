# shellcheck shell=bash disable=SC2034
# What the scripts of this job share. It is sourced, and has no ERB in it: values come from settings.sh.
set -euo pipefail

JOB=/var/vcap/jobs/graft-publisher
GRAFT=/var/vcap/packages/graft/bin/graft
# Not below the directories of run files and of jobs, which users outside of the group vcap cannot enter.
DATA=/var/vcap/data/graft-publisher
RUN_DIR=/var/vcap/sys/run/graft-publisher
LOG_DIR=/var/vcap/sys/log/graft-publisher
PIDFILE=$RUN_DIR/graft-publisher.pid
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

# The process of the agent, as long as it runs. The number may belong to another process after a reboot.
agent_pid() {
  local pid
  [ -s "$PIDFILE" ] || return 1
  pid=$(<"$PIDFILE")
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$DATA/etc/settings.yml publisher" || return 1
  printf '%s' "$pid"
}

answers() {
  (exec 3<>"/dev/tcp/$LISTEN_HOST/$LISTEN_PORT") 2>/dev/null
}
