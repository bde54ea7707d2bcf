#!/bin/sh
# Builds the sandbox where bubblewrap is not installed. Runs as root of a new user namespace, in new mount, process, network,
# IPC, host-name and cgroup namespaces (`unshare`), and ends by executing the command without any capability.
# Usage: enter.sh ROOT SCRATCH_BYTES SCENE COMMAND…   SCENE has one line per thing: `show FROM<TAB>TO`, `link TARGET<TAB>NAME`,
# `scratch PLACE`. Paths have neither tab nor newline; the runner sees to that.
set -eu
root=$1 size=$2 scene=$3
shift 3
tab=$(printf '\t')

hostname sandbox 2>/dev/null || true
mount --make-rprivate /
mount -t tmpfs -o "size=16m,mode=0755,nosuid,nodev" sandbox "$root"

mkdir "$root/proc" "$root/dev" "$root/old"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
for device in null zero full random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"

while IFS="$tab" read -r what first second; do
  case "$what" in
    scratch)
      mkdir -p "$root$first"
      mount -t tmpfs -o "size=$size,mode=0700,nosuid,nodev" scratch "$root$first"
      ;;
    link)
      mkdir -p "$(dirname "$root$second")"
      ln -s "$first" "$root$second"
      ;;
    show)
      mkdir -p "$(dirname "$root$second")"
      if [ -d "$first" ]; then mkdir -p "$root$second"; else : >"$root$second"; fi
      mount --rbind "$first" "$root$second"
      ;;
  esac
done <"$scene"

# Everything but the scratch places becomes read only, what is mounted below the things shown too. Options that the outer
# namespace locked have to be repeated.
scratches=" $(sed -n "s/^scratch$tab//p" "$scene" | sed "s|^|$root|" | tr '\n' ' ')"
while read -r _ _ _ _ place options _; do
  case "$place" in "$root" | "$root"/*) ;; *) continue ;; esac
  case "$scratches" in *" $place "*) continue ;; esac
  place=$(printf '%b' "$place")
  kept=$(printf '%s' "$options" | tr ',' '\n' | grep -E '^(nosuid|nodev|noexec|noatime|nodiratime|relatime)$' | tr '\n' ',')
  case "$place" in
    "$root"/dev/*) mount -o "remount,bind,ro,${kept}nosuid" "$place" ;;
    *) mount -o "remount,bind,ro,${kept}nosuid,nodev" "$place" ;;
  esac
done </proc/self/mountinfo

# No further user namespace from here on.
echo 0 >/proc/sys/user/max_user_namespaces
cd "$root"
pivot_root . old
umount -l /old
cd /tmp
exec /usr/bin/setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all --securebits=+noroot,+noroot_locked "$@"
