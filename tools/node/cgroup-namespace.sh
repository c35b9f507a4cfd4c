#!/bin/sh
# With version 2 of cgroups: makes GROUP the root of a cgroup namespace and runs COMMAND in it. runc and kubelet enable every
# controller in the root that they see, which is not the machine's. usage: cgroup-namespace.sh GROUP COMMAND...
set -eu
echo 0 >"$1/cgroup.procs"
exec unshare --cgroup sh -euc '
  group=$1
  shift
  # Only a group without processes can hand its controllers on.
  echo 0 >"$group/programs/cgroup.procs"
  for each in $(cat "$group/cgroup.controllers"); do echo "+$each" >"$group/cgroup.subtree_control"; done
  exec "$@"' sh "$@"
