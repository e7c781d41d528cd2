# shellcheck shell=sh
# Everything that a rollout can change on a host: its network sysctls, and the files that set sysctls, with owner and mode.
# nf_conntrack_count counts by itself.
find /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d -printf '%p %y %m %u %g %l\n' 2> /dev/null | sort
grep -r '' /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /proc/sys/net 2> /dev/null | grep -v nf_conntrack_count | sort
