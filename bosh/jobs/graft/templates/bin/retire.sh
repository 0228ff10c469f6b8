# shellcheck shell=bash
# Removing the stores on the way back to GrootFS. Sourced after lib.sh.

# in_use STORE: whether a process lives on a root filesystem of this store. The device number of /proc/PID/root
# is the overlay's own; mount tables would not tell, since daemons with a mount namespace of their own keep
# copies of every mount there was when they started.
in_use() {
  local rootfs device
  for rootfs in "$1"/images/*/rootfs; do
    mountpoint -q "$rootfs" || continue
    device=$(stat -c %d "$rootfs")
    if stat -L -c %d /proc/[0-9]*/root 2>/dev/null | grep -qx "$device"; then
      log "$rootfs is the root filesystem of a running container"
      return 0
    fi
  done
  return 1
}

# retire_store NAME: fails while a container uses the store, and removes it otherwise.
retire_store() {
  local name=$1 store image said
  store=$(store_of "$name")
  if [ -e "$store/meta/graft.json" ]; then
    ! in_use "$store" || return 1
    for image in "$store"/images/*; do
      [ -d "$image" ] || continue
      said=$(on_store "$name" delete "${image##*/}") || refuse "the $name store cannot be emptied: $said"
    done
    said=$(on_store "$name" delete-store) || refuse "the $name store cannot be deleted: $said"
  fi
  ! mountpoint -q "$store" || refuse "$store is still mounted"
  rm -f "$store.backing-store"
  [ ! -d "$store" ] || rmdir "$store" || refuse "$store holds something that is not graft's"
  log "the $name store is gone"
}

retire_stores() {
  local name left=0
  for name in "${STORES[@]}"; do retire_store "$name" || left=1; done
  rm -f "$PROBE"
  return "$left"
}
