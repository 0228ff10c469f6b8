# shellcheck shell=bash
# How large the stores may grow and when they are cleaned: thresholder's rules, which it applies to GrootFS's
# configuration only, but for the one that makes the threshold as large as the store. Sourced after lib.sh.

# Bytes that the stores could fill: what the disk has free, and what the stores' own files hold of it. Without
# the second part every run on a used cell would find a smaller disk than the one before.
disk_bytes() {
  local free held=0 name file
  free=$(stat -f -c '%a %S' "$DATA_PATH") || refuse "$DATA_PATH, where the stores shall lie, does not exist"
  for name in "${STORES[@]}"; do
    file=$(store_of "$name").backing-store
    [ ! -e "$file" ] || held=$((held + $(stat -c '%b * %B' "$file")))
  done
  printf '%d' $((${free/ / * } + held))
}

# compute_sizes DISK: sets WITH_CLEAN, THRESHOLD and STORE_SIZE, in bytes.
compute_sizes() {
  local disk=$1
  local reserved=$((RESERVED_IN_MB * MIB))
  [ "$ROUTINE_GC" != true ] || reserved=$disk
  WITH_CLEAN=false
  [ "$reserved" -lt 0 ] || WITH_CLEAN=true
  [ "$reserved" -ge 0 ] || reserved=0
  STORE_SIZE=$((disk - reserved))
  THRESHOLD=$((STORE_SIZE > 0 ? STORE_SIZE : 0))
  if [ "$STORE_SIZE" -le "$SMALLEST_STORE" ]; then
    [ "$ROUTINE_GC" = true ] ||
      log "warning: $RESERVED_IN_MB MiB reserved of $((disk / MIB)) leave less than 15 GiB for images; the stores may fill the disk"
    STORE_SIZE=$disk
  fi
}

# set_key FILE KEY VALUE: the key must be there exactly once, whoever wrote the file last.
set_key() {
  local file=$1 key=$2 value=$3
  [ "$(grep -cE "^[[:space:]]+$key:" "$file")" = 1 ] ||
    refuse "$file does not have the key $key exactly once: deploy again to have it written anew"
  sed -i -E "s/^([[:space:]]+$key:).*/\1 $value/" "$file"
}

# size_store NAME: writes the three values into the store's configuration.
size_store() {
  local name=$1 file size threshold wanted backing
  file=$(config_of "$name")
  wanted=$(store_size_in_mb_of "$name")
  size=$((wanted > 0 ? wanted * MIB : STORE_SIZE))
  backing=$(store_of "$name").backing-store
  if [ -e "$backing" ] && [ "$(stat -c %s "$backing")" != "$size" ]; then
    log "the $name store keeps its $(($(stat -c %s "$backing") / MIB)) MiB instead of $((size / MIB)) MiB: a store changes its size when its cell is recreated"
    size=$(stat -c %s "$backing")
  fi
  # A filesystem has less room than its file has bytes, so a threshold of that size would hardly be reached: the
  # store would fill up without a clean. Nine tenths are.
  threshold=$((size * 9 / 10))
  threshold=$((THRESHOLD < threshold ? THRESHOLD : threshold))
  [ -z "$GC_THRESHOLD_IN_MB" ] || threshold=$((GC_THRESHOLD_IN_MB * MIB))
  set_key "$file" with_clean "$WITH_CLEAN"
  set_key "$file" threshold_bytes "$threshold"
  set_key "$file" store_size_bytes "$size"
  log "the $name store may grow to $((size / MIB)) MiB, is cleaned from $((threshold / MIB)) MiB on, clean after create: $WITH_CLEAN"
}
