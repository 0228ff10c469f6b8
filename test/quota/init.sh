# Process 1 of the quota kernel (ci/quota-kernel puts the command and its variables in front of this).
# Without its end the kernel panics and the caller shows the console, so nothing here may stop half-way.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C TERM=dumb TMPDIR=/tmp
modules=/usr/lib/uml/modules/$(uname -r)

finish() {
  echo '=== the quota kernel has ended'
  echo "$1" >/run/status/status
  umount /run/status /run/results
  sync
  poweroff -f
}
broken() {
  echo "the quota kernel cannot $*"
  exit 1
}

# load NAME: a module, or built in.
load() {
  local file
  grep -qw "$1" /proc/filesystems && return
  file=$(find "$modules" -name "$1.ko" | head -n 1)
  [ -n "$file" ] && insmod "$file"
}

# show PATH: makes a path of the machine visible again under a tmpfs that hides it.
show() {
  case $1/ in
    /tmp/* | /run/* | /var/tmp/*) mkdir -p "$1" && mount -t hostfs -o "ro,$1" none "$1" ;;
  esac
}

prepare() {
  mount -t proc proc /proc
  mount -t sysfs sys /sys
  # Only what makes the kernel stop belongs on the console: tests provoke every other complaint.
  echo 1 >/proc/sys/kernel/printk
  # The kernel may have mounted it already.
  mountpoint -q /dev || mount -t devtmpfs dev /dev
  mkdir -p /dev/shm /dev/pts
  mount -t tmpfs tmpfs /dev/shm
  mount -t devpts devpts /dev/pts
  # hostfs reaches the machine's files as root. The root is mounted read-only, and these hide what is not.
  for dir in /run /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$dir" || broken "hide $dir"; done
  mkdir -p /run/status /run/results /run/quota /run/lock
  mount -t hostfs -o "$STATUS" none /run/status || broken 'write its status'
  mount -t hostfs -o "$RESULTS" none /run/results || broken 'write results'
  show "$PROJECT"
  load overlay || broken 'load overlay'
  load fuse || broken 'load fuse'
  load squashfs || broken 'load squashfs'
  load erofs || broken 'load erofs'
  [ -e /sys/module/loop ] || load loop || broken 'load loop'
  mount -t xfs -o pquota,noatime /dev/ubdb /run/quota || broken 'mount XFS with project quotas'
  # One hierarchy a controller, the shape that runc knows without systemd; some are not in this kernel.
  mount -t tmpfs tmpfs /sys/fs/cgroup
  for controller in $(awk 'NR > 1 && $4 == 1 {print $1}' /proc/cgroups); do
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
  done
  ip link set lo up
}

prepare
cd "$cd_to" 2>/dev/null || cd /
echo '=== the quota kernel is up'
# A pipe, so that programs do not take the console for a person's terminal.
"${command[@]}" </dev/null 2>&1 | cat
finish "${PIPESTATUS[0]}"
