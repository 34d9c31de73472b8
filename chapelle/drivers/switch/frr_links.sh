#!/bin/sh
# Makes the links of an FRR switch those of a directory: frr_links.sh DIRECTORY
# Shows what that would change:                          frr_links.sh --diff DIRECTORY
# Puts back those of the last start:                     frr_links.sh --restore
#
# The directory has files of systemd-networkd and sysctl by their names. Links whose definition
# changes are made anew, since networkd changes none that is there. FRRouting is stopped meanwhile:
# it loses its interfaces otherwise, and networkd 252 dies of the next hops that it has entered. So
# are the groups that servers hang on, which then send to the pair's other switch.
#
# What was there before the first change is kept until `persist` removes it; a switch that starts
# before that puts it back, before networkd. Nothing is done, and FRRouting is left alone, when the
# files are these already, unless somebody was stopped in the middle of it.

set -eu
network=/etc/systemd/network
sysctl=/etc/sysctl.d
library=/var/lib/chapelle
before=$library/links-before
live=/run/chapelle/links-live
busy=/run/chapelle/links-busy
patience=20 # seconds

ours() {
  for file in "$network"/20-chapelle-* "$sysctl/20-chapelle-fabric.conf"; do
    if [ -e "$file" ]; then echo "$file"; fi
  done
}

copy_to() { # DIRECTORY
  rm -rf "$1"
  mkdir -p "$1"
  ours | while read -r file; do cp "$file" "$1/"; done
}

put() { # DIRECTORY
  mkdir -p "$network" "$sysctl"
  ours | while read -r file; do
    if ! [ -e "$1/${file##*/}" ]; then rm -f "$file"; fi
  done
  for file in "$1"/*; do
    [ -e "$file" ] || continue
    name=${file##*/}
    folder=$network
    case $name in *.conf) folder=$sysctl ;; esac
    install -m 0644 "$file" "$folder/.$name"
    mv "$folder/.$name" "$folder/$name"
  done
  sync
}

named() { # FILE...: the links that these files are about
  sed -n 's/^Name=//p' "$@" | sort -u
}

changed() { # KIND: live files that are others in the directory, or not in it
  for file in "$live"/*."$1"; do
    if [ -e "$file" ] && ! cmp -s "$file" "$wanted/${file##*/}"; then echo "$file"; fi
  done
}

groups() { # DIRECTORY
  for file in "$1"/*.netdev; do
    if [ -e "$file" ] && grep -q '^Kind=bond$' "$file"; then named "$file"; fi
  done
}

missing() {
  for file in "$wanted"/*.netdev; do
    [ -e "$file" ] || continue
    name=$(named "$file")
    ip link show dev "$name" >/dev/null 2>&1 || echo "$name"
  done
}

unfinished() { # links of ours that networkd is still at; a port without carrier stays at it
  names=$(named "$wanted"/*.network 2>/dev/null | tr '\n' ' ')
  networkctl --no-legend list 2>/dev/null | awk -v names=" $names" '
    $(NF - 1) != "no-carrier" && $NF ~ /^(pending|initialized|configuring)$/ &&
      index(names, " " $2 " ")'
}

if [ "$1" = --restore ]; then
  put "$before"
  rm -rf "$before"
  exit 0
fi

copy_to "$live"
if [ "$1" = --diff ]; then
  cd "$live/.."
  diff -ruN "${live##*/}" "$2" || [ $? = 1 ]
  exit
fi

wanted=$1
if ! [ -e "$busy" ] && diff -rq "$live" "$wanted" >/dev/null; then
  if [ -d "$before" ] && diff -rq "$before" "$wanted" >/dev/null; then rm -rf "$before"; fi
  exit 0
fi
if ! [ -d "$before" ]; then
  rm -rf "$before.new"
  cp -r "$live" "$before.new"
  sync
  mv "$before.new" "$before"
fi
cat >/etc/systemd/system/chapelle-links.service <<END
[Unit]
Description=Put back the links of a change that was not confirmed
DefaultDependencies=no
After=local-fs.target
Before=systemd-networkd.service systemd-sysctl.service
ConditionPathExists=$before

[Service]
Type=oneshot
ExecStart=/bin/sh $library/links.sh --restore

[Install]
WantedBy=sysinit.target
END
systemctl -q enable chapelle-links.service

touch "$busy"
for group in $(groups "$live"); do ip link set dev "$group" down 2>/dev/null || :; done
systemctl stop frr.service
changed network | while read -r file; do
  for name in $(named "$file"); do ip link set dev "$name" nomaster 2>/dev/null || :; done
done
changed netdev | while read -r file; do
  ip link delete dev "$(named "$file")" 2>/dev/null || :
done
put "$wanted"
if [ -e "$sysctl/20-chapelle-fabric.conf" ]; then sysctl -q -p "$sysctl/20-chapelle-fabric.conf"; fi
systemctl reset-failed systemd-networkd.service systemd-networkd.socket 2>/dev/null || :
systemctl restart systemd-networkd.service
read -r now _ </proc/uptime
end=$((${now%.*} + patience))
while [ "${now%.*}" -lt "$end" ] && [ -n "$(missing)$(unfinished)" ]; do
  sleep 0.2
  read -r now _ </proc/uptime
done
systemctl reset-failed frr.service 2>/dev/null || : # three starts in three minutes are its limit
systemctl start frr.service
rm -f "$busy"
left=$(missing)
if [ -n "$left" ]; then
  echo "these links could not be made: $(echo "$left" | tr '\n' ' ')"
  exit 1
fi
if [ -d "$before" ] && diff -rq "$before" "$wanted" >/dev/null; then rm -rf "$before"; fi
