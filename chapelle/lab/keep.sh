# Keeps a node through its own restarts: sh keep.sh GROUP COMMAND...
#
# systemd-nspawn, told to leave the machine's units alone, ends with 133 when its container restarts,
# and whoever started it starts it again. That is this: in the node's mount and network namespaces,
# which so outlive its systemd-nspawn, and in a control group beside those that it makes in GROUP.

group=$1
shift
mkdir -p "$group/keeper"
echo 0 >"$group/keeper/cgroup.procs"

# What a machine has forgotten when it restarts, the network namespace of a container has not.
# shellcheck disable=SC2016
forget='
  nft flush ruleset
  for kind in vlan vxlan bond bridge vrf dummy; do
    ip -o link show type "$kind" | while IFS=": " read -r _ name _; do
      ip link delete "${name%%@*}"
    done
  done
  ip link show up | sed -n "s/^[0-9]*: \([^:@]*\).*/\1/p" | while read -r name; do
    ip address flush dev "$name"
    ip link set "$name" down
  done
'

while :; do
  (echo 0 >"$group/cgroup.procs" && exec "$@")
  status=$?
  [ "$status" -eq 133 ] || exit "$status"
  chroot root /bin/sh -c "$forget" 2>/dev/null
  # With controllers handed on, the kernel lets no process into the group.
  # shellcheck disable=SC2013
  for controller in $(cat "$group/cgroup.subtree_control"); do
    echo "-$controller" >"$group/cgroup.subtree_control"
  done
done
