#!/bin/sh
# Makes the links of an FRR switch those of a directory: frr_links.sh DIRECTORY
# Shows what that would change:                          frr_links.sh --diff DIRECTORY
# Puts back those of the last start:                     frr_links.sh --restore
#
# The directory has files of systemd-networkd and sysctl by their names. Links whose files change are
# made anew, since networkd takes little away from one that is there. FRRouting is stopped meanwhile:
# it loses its interfaces otherwise, and networkd 252 dies of the next hops that it has entered. The
# ports of groups are down from before that until FRRouting knows the fabric again: servers send to
# the pair's other switch, and nothing comes in that would not get further.
#
# While `links-busy` is there the links are not what the files say: a change is under way, was cut
# short, or failed. Then nothing is taken for done already, and the driver takes nothing for running.
#
# What was there before the first change is kept until `persist`; a switch that starts before that
# puts it back, before networkd. It is kept with the checksum of frr.conf, so that replacing frr.conf
# is the one moment from which the new links are those of the next start.

set -eu
network=/etc/systemd/network
sysctl=/etc/sysctl.d
settings=$sysctl/20-chapelle-fabric.conf
startup=/etc/frr/frr.conf
library=/var/lib/chapelle
before=$library/links-before
untouched=$library/sysctl-before
unit=/etc/systemd/system/chapelle-links.service
run=/run/chapelle
busy=$run/links-busy
held=/run/systemd/network
patience=45 # seconds
settled=3   # seconds after the first session of BGP, in which the routes come in
failed=""

ours() {
  for file in "$network"/20-chapelle-* "$settings"; do
    if [ -f "$file" ]; then echo "$file"; fi
  done
}

copy_to() { # DIRECTORY
  mkdir -p "$1"
  ours | while read -r file; do cp "$file" "$1/" || exit 1; done
}

same() { # DIRECTORY DIRECTORY
  diff -rq -x .startup "$1" "$2" >/dev/null
}

place() { # NAME
  case $1 in *.conf) echo "$sysctl/$1" ;; *) echo "$network/$1" ;; esac
}

# A full disk shows here, where nothing has been changed yet.
stage() { # DIRECTORY
  mkdir -p "$network" "$sysctl"
  rm -f "$network"/.20-chapelle-* "$sysctl"/.20-chapelle-*
  for file in "$1"/*; do
    [ -f "$file" ] || continue
    there=$(place "${file##*/}")
    if cmp -s "$file" "$there"; then continue; fi
    if ! install -m 0644 "$file" "${there%/*}/.${file##*/}"; then
      rm -f "$network"/.20-chapelle-* "$sysctl"/.20-chapelle-*
      echo "there is no room for the files of the links"
      exit 1
    fi
  done
  sync
}

put() { # DIRECTORY, which was staged
  ours | while read -r file; do
    if ! [ -f "$1/${file##*/}" ]; then rm -f "$file"; fi
  done
  for file in "$network"/.20-chapelle-* "$sysctl"/.20-chapelle-*; do
    if [ -f "$file" ]; then mv "$file" "$(place "$(basename "$file" | cut -c 2-)")"; fi
  done
  sync
}

discard() { # what is kept, at once and not file by file
  if [ -d "$before" ]; then
    rm -rf "$before.gone"
    mv "$before" "$before.gone"
    sync
    rm -rf "$before.gone"
  fi
}

is_of_startup() { # whether what is kept belongs to the frr.conf that is there
  [ "$(cat "$before/.startup" 2>/dev/null)" = "$(sha256sum <"$startup")" ]
}

named() { # FILE...: the links that these files are about
  sed -n 's/^[[:space:]]*Name[[:space:]]*=[[:space:]]*//p' "$@" | tr -s ' ' '\n' | sort -u
}

made() { # DIRECTORY: the links that its files make
  for file in "$1"/*.netdev; do
    if [ -f "$file" ]; then named "$file"; fi
  done
}

changed() { # the links whose files are others now, or gone
  for file in "$live"/*.netdev "$live"/*.network; do
    if [ -f "$file" ] && ! cmp -s "$file" "$wanted/${file##*/}"; then named "$file"; fi
  done | sort -u
}

gone() { # the links that no file is about any more
  for file in "$live"/*.network; do
    if [ -f "$file" ] && ! [ -f "$wanted/${file##*/}" ]; then named "$file"; fi
  done
}

members() { # DIRECTORY...: the ports of its groups
  for folder in "$@"; do
    for file in "$folder"/*.network; do
      if [ -f "$file" ] && grep -q '^Bond=' "$file"; then named "$file"; fi
    done
  done | sort -u
}

hold() { # networkd leaves the ports of groups down
  for port in $(members "$live" "$wanted"); do
    ip link set dev "$port" down 2>/dev/null || :
    mkdir -p "$held/20-chapelle-$port.network.d"
    printf '[Link]\nActivationPolicy=down\n' >"$held/20-chapelle-$port.network.d/hold.conf"
  done
}

release() {
  for folder in "$held"/20-chapelle-*.network.d; do
    if [ -d "$folder" ]; then rm -f "$folder/hold.conf" && rmdir "$folder"; fi
  done
  for port in $(members "$wanted"); do ip link set dev "$port" up 2>/dev/null || :; done
}

# A switch that is new has no neighbour in its frr.conf, and nobody to wait for.
wait_for_fabric() {
  read -r now _ </proc/uptime
  end=$((${now%.*} + patience))
  while [ "${now%.*}" -lt "$end" ]; do
    seen=$(timeout 5 vtysh -c 'show bgp summary json' 2>/dev/null | grep -o '"state":"[A-Za-z]*"' || :)
    case $seen in
    '') return ;;
    *Established*) sleep "$settled" && return ;;
    esac
    sleep 0.5
    read -r now _ </proc/uptime
  done
}

exists() { # LINK
  ip link show dev "$1" >/dev/null 2>&1
}

# Links that networkd is still at, or gave up. A port may be down or without carrier, and stays at it.
unfinished() {
  all=""
  for file in "$wanted"/*.network; do
    [ -f "$file" ] || continue
    all="$all $(named "$file" | tr '\n' ' ')"
  done
  strict=$(made "$wanted" | tr '\n' ' ')
  networkctl --no-legend list 2>/dev/null | awk -v all="$all " -v strict=" $strict " '
    !index(all, " " $2 " ") { next }
    $NF == "failed" { print $2; next }
    $NF !~ /^(pending|initialized|configuring)$/ { next }
    index(strict, " " $2 " ") || $(NF - 1) !~ /^(no-carrier|off)$/ { print $2 }'
}

missing() {
  for name in $(made "$wanted"); do
    if ! exists "$name"; then echo "$name"; fi
  done
}

fail() { # WORDS
  failed="$failed $*;"
}

keep() {
  if [ -d "$before" ] && ! is_of_startup; then discard; fi # a change was persisted meanwhile
  if ! [ -d "$before" ]; then
    rm -rf "$before.new"
    cp -r "$live" "$before.new"
    sha256sum <"$startup" >"$before.new/.startup"
    sync
    mv "$before.new" "$before"
  fi
  cat >"$live.unit" <<END
[Unit]
Description=Put back the links of a change that was not persisted
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
  if ! cmp -s "$live.unit" "$unit"; then
    install -m 0644 "$live.unit" "$unit.new"
    sync
    mv "$unit.new" "$unit"
  fi
  # Not to be reloaded: that would begin the armed timer anew (systemd 252).
  systemctl -q --no-reload enable chapelle-links.service
  sync
}

# Values that were there before us come back when no file of ours speaks of them.
set_values() {
  if [ -f "$wanted/${settings##*/}" ]; then
    sed -n 's/^\([^#;=[:space:]]*\)[[:space:]]*=.*/\1/p' "$wanted/${settings##*/}" |
      while read -r key; do
        grep -qs "^$key " "$untouched" || sysctl "$key" >>"$untouched" 2>/dev/null || :
      done
  fi
  if [ -f "$untouched" ]; then sysctl -q -e -p "$untouched" || fail "values of sysctl"; fi
  if [ -f "$settings" ]; then sysctl -q -e -p "$settings" || fail "values of sysctl"; fi
}

wait_for_networkd() {
  read -r now _ </proc/uptime
  end=$((${now%.*} + patience))
  while [ "${now%.*}" -lt "$end" ] && [ -n "$(missing)$(unfinished)" ]; do
    sleep 0.2
    read -r now _ </proc/uptime
  done
  left=$(missing && unfinished)
  if [ -n "$left" ]; then fail "could not be made: $(echo "$left" | tr '\n' ' ')"; fi
  systemctl -q is-active systemd-networkd.service || fail "systemd-networkd is down"
}

mkdir -p "$run"
live=$(mktemp -d "$run/links.XXXXXX")
trap 'rm -rf "$live" "$live.unit"' EXIT

case $1 in
--diff)
  copy_to "$live/running"
  [ -d "$2" ]
  cd "$live"
  diff -ruN running "$2" || [ $? = 1 ]
  exit 0
  ;;
--restore)
  if is_of_startup; then
    stage "$before"
    put "$before"
  fi
  discard
  exit 0
  ;;
esac

wanted=$1
[ -d "$wanted" ] || { echo "there is no directory $wanted"; exit 1; }
exec 7>"$run/links.lock"
flock -w 120 7 || { echo "another change of the links does not end"; exit 1; }
copy_to "$live"
if ! [ -e "$busy" ] && same "$live" "$wanted"; then
  if [ -d "$before" ] && same "$before" "$wanted"; then discard; fi
  exit 0
fi
keep
stage "$wanted"

touch "$busy"
trap 'systemctl start frr.service; release; rm -rf "$live" "$live.unit"' EXIT
hold
systemctl stop frr.service || fail "FRRouting does not stop"
for name in $(changed); do
  exists "$name" || continue
  if made "$live" | grep -qxF "$name"; then
    ip link delete dev "$name" 2>/dev/null || :
    if exists "$name"; then fail "$name does not go"; fi
  else
    # Not after it has left its VRF: nobody's address is ever in the fabric's own table.
    ip address flush dev "$name" scope global 2>/dev/null || :
    ip link set dev "$name" nomaster 2>/dev/null || :
  fi
done
put "$wanted"
set_values
systemctl reset-failed systemd-networkd.service systemd-networkd.socket 2>/dev/null || :
systemctl restart systemd-networkd.service || fail "systemd-networkd does not start"
for name in $(gone); do # of which networkd knows nothing any more, and which it may have been at
  exists "$name" || continue
  ip address flush dev "$name" scope global 2>/dev/null || :
  ip link set dev "$name" mtu 1500 2>/dev/null || :
done
wait_for_networkd
systemctl reset-failed frr.service 2>/dev/null || : # three starts in three minutes are its limit
systemctl start frr.service || fail "FRRouting does not start"
if [ -n "$(members "$wanted")" ]; then wait_for_fabric; fi
release
if [ -n "$failed" ]; then
  echo "links:$failed"
  exit 1
fi
rm -f "$busy"
if same "$before" "$wanted"; then discard; fi
