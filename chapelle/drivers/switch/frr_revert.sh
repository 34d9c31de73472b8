#!/bin/sh
# Takes an FRR switch back to a checkpoint: frr_revert.sh CHECKPOINT armed|now
#
# Lies on the switch in /var/lib/chapelle, where the timer that was armed finds it without us: it
# says `armed`, and then nothing happens once the change was confirmed. Whoever renames the file of
# that name has decided, and rename(2) lets only one do so.

set -u
library=/var/lib/chapelle
checkpoint=$library/checkpoints/$1.conf
links=$library/checkpoints/$1.links
run=/run/chapelle
reload=/usr/lib/frr/frr-reload.py

if ! mv "$run/armed" "$run/fired" 2>/dev/null && [ "$2" = armed ]; then
  exit 0
fi
[ "$2" = armed ] || systemctl stop chapelle-revert.timer 2>/dev/null

# A change that is still being applied ends here, whatever it waits for.
systemctl stop chapelle-apply.service 2>/dev/null
exec 8>"$run/reload"
flock -w 300 8

links_failed=0
/bin/sh "$library/links.sh" "$links" >"$run/revert.links.log" 2>&1 || links_failed=1
[ "$links_failed" = 0 ] || cat "$run/revert.links.log"
systemctl start frr.service # whatever was cut short in the middle of it

# The script persists what it loads unless it loads the frr.conf of its own configuration directory.
mkdir -p "$run/revert"
: >"$run/revert/vtysh.conf"

# The exit status of a reload proves nothing in either direction; an empty difference does. A daemon
# that is down gets a quarter of a minute to come back; then all start anew, with what was persisted
# last, which is older than the change.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  [ "$attempt" != 6 ] || systemctl restart frr.service
  cp "$checkpoint" "$run/revert/frr.conf" || exit 1
  /bin/sh "$library/sections.sh" "$run/revert/frr.conf"
  "$reload" --reload --confdir "$run/revert" "$run/revert/frr.conf" >"$run/revert/log" 2>&1
  if left=$("$reload" --test "$run/revert/frr.conf" 2>>"$run/revert/log") && [ -z "$left" ]; then
    exit "$links_failed"
  fi
  printf '%s\n' "$left" >>"$run/revert/log"
  sleep 3
done
tail -n 5 "$run/revert/log"
exit 1
