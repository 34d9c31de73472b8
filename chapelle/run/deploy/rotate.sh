# Runs on a host, as root: new keys for all of its encrypted disks, each proven before an old one
# goes. From standard input: the passphrase until now, the next one, and clevis' policy, one a line.
# It may be stopped anywhere and run again with the same two passphrases.
umask 077
work=$(mktemp -d /run/chapelle-keys.XXXXXX)
trap 'rm -rf "$work"' EXIT
IFS= read -r old
IFS= read -r new
IFS= read -r policy
printf %s "$old" >"$work/old"
printf %s "$new" >"$work/new"

stop() {
  printf '%s\n' "$*" >&2
  exit 1
}

# opens KEY DEVICE [SLOT]
opens() {
  cryptsetup open --test-passphrase --key-file="$1" ${3:+--key-slot="$3"} "$2" 2>/dev/null
}

slots() {
  cryptsetup luksDump --dump-json-metadata "$1" |
    python3 -c 'import json, sys; print(*json.load(sys.stdin)["keyslots"])'
}

bound() {
  clevis luks list -d "$1" | cut -d: -f1
}

root=
devices=
while read -r _ source key _; do
  case $source in
    UUID=*)
      device=$(blkid -U "${source#UUID=}") || stop "no disk with $source"
      devices="$devices $device"
      if [ "$key" = none ]; then root=$device; fi
      ;;
  esac
done </etc/crypttab
[ -n "$root" ] || stop "no encrypted root in /etc/crypttab"

for device in $devices; do
  if ! opens "$work/new" "$device"; then
    opens "$work/old" "$device" || stop "$device opens with neither passphrase"
    cryptsetup luksAddKey --batch-mode --key-file="$work/old" "$device" "$work/new"
  fi
  opens "$work/new" "$device" || stop "$device does not open with the new passphrase"
done

before=" $(bound "$root" | tr "\n" " ") "
clevis luks bind -y -k "$work/new" -d "$root" sss "$policy" >/dev/null
proven=
for slot in $(bound "$root"); do
  case $before in *" $slot "*) continue ;; esac
  clevis luks pass -d "$root" -s "$slot" | tr -d '\n' >"$work/bound"
  opens "$work/bound" "$root" "$slot" || stop "$root does not open by the new binding"
  proven=$slot
done
[ -n "$proven" ] || stop "$root was not bound"
for slot in $before; do
  clevis luks unbind -f -d "$root" -s "$slot" >/dev/null
done

for device in $devices; do
  for slot in $(slots "$device"); do
    if opens "$work/old" "$device" "$slot"; then
      cryptsetup luksKillSlot --batch-mode --key-file="$work/new" "$device" "$slot"
    fi
  done
  opens "$work/new" "$device" || stop "$device does not open with the new passphrase any more"
done

for device in $devices; do
  cryptsetup luksHeaderBackup "$device" --header-backup-file="$work/header"
  name=root
  if [ "$device" != "$root" ]; then name=$(lsblk -dno SERIAL "$device"); fi
  printf 'header %s %s\n' "$name" "$(base64 -w0 "$work/header")"
  rm -f "$work/header"
done
