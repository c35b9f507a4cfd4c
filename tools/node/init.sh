#!/bin/sh
# Process 1 of a node: prepares the mounts and the network of its namespaces, and reaps orphans. The kernel ends every process
# and every mount of the node when this process ends. usage: init.sh FOLDER BRIDGE_ADDRESS SERVICE_SUBNET
set -eu
folder=$1 bridge=$2 services=$3

# Shared among the node's programs, as kubelet expects it. The machine sees none of these mounts.
mount --make-rshared /
for each in /run /var/log /var/lib; do mount -t tmpfs -o mode=755 node "$each"; done
mkdir /var/lib/kubelet
mount --bind "$folder/kubelet" /var/lib/kubelet

# With version 2 of cgroups, the root of the cgroup namespace. The kernel refuses it on top of the machine's.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  umount /sys/fs/cgroup
  mount -t cgroup2 node /sys/fs/cgroup
fi

# kubelet writes these settings of the whole machine: it gets files instead.
mkdir -p "$folder/sysctl"
for each in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  [ -e "/proc/sys/$each" ] || continue
  private=$folder/sysctl/$(basename "$each")
  cat "/proc/sys/$each" >"$private"
  mount --bind "$private" "/proc/sys/$each"
done

ip link set lo up
# The node answers at the addresses of all Services: relay.ts for "kubernetes", services.ts for the others.
ip route add local "$services" dev lo
# A bridge without an address of its own takes the lowest of its ports. With each new pod it could change, and other pods would not
# reach the node until their entry in the neighbour table expires, which takes up to a minute.
ip link add cni0 address 02:00:0a:58:00:01 type bridge
ip address add "$bridge" dev cni0
ip link set cni0 up

touch "$folder/ready"
while :; do
  sleep 2147483647 &
  wait
done
