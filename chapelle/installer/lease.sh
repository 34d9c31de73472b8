#!/bin/sh
# What udhcpc calls when it is given an address, or has lost it.
# shellcheck disable=SC2154  # udhcpc(8) sets these variables
case $1 in
  bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/$mask" dev "$interface"
    for gateway in $router; do
      ip route replace default via "$gateway"
      break
    done
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
    ;;
esac
