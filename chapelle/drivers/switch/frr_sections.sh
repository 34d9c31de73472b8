#!/bin/sh
# Leaves every interface and VRF its section, be it an empty one: frr_sections.sh FILE
#
# FRR 10 (mgmtd) deletes neither while the kernel has it: `no interface swp1` fails, and what was
# below it stays. FILE is a configuration for frr-reload.py; where it does without a section that is
# running, an empty one is added, and the script takes away what is in it, line by line. An older FRR
# shows no empty section, and would want to add it for ever.

set -u
[ -e /usr/lib/frr/mgmtd ] || exit 0
vtysh -c 'show running-config no-header' | awk '
  { kind = $1 == "interface" || $1 == "vrf" }
  part == "kept" { if (kind) kept[$0]; next }
  kind && !($0 in kept) { print; print ($1 == "vrf" ? "exit-vrf" : "exit") }
' part=kept "$1" part=running - >"$1.more" && cat "$1.more" >>"$1"
rm -f "$1.more"
