#!/usr/bin/env bash
# Start Slurm with one node on this machine, to try `--executor slurm`, and to test it.
# For Debian and its like, as root, after: apt-get install slurmctld slurmd slurm-client munge
# There are two partitions: jobs in `urgent` preempt those in `patient`, the default, which are
# queued again. `bash examples/slurm-on-one-machine.sh stop` ends it all.
set -euo pipefail

host=$(hostname -s)
state=/var/lib/auxbench-slurm

if [ "${1:-start}" = stop ]; then
    pkill -x slurmd || true
    pkill -x slurmctld || true
    pkill -x munged || true
    exit
fi

mkdir -p "$state/spool" /run/munge /var/log/munge /etc/slurm
if [ ! -s /etc/munge/munge.key ]; then
    (umask 077; head -c 1024 /dev/urandom > /etc/munge/munge.key)
fi
chown -R munge: /etc/munge /run/munge /var/log/munge
chmod 400 /etc/munge/munge.key
chmod 755 /run/munge
pgrep -x munged > /dev/null || runuser -u munge -- munged

cat > /etc/slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$state
SlurmdSpoolDir=$state/spool
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=30
SchedulerParameters=sched_interval=5,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host CPUs=$(nproc) State=UNKNOWN
PartitionName=patient Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF

pgrep -x slurmctld > /dev/null || slurmctld
pgrep -x slurmd > /dev/null || slurmd
for _ in $(seq 60); do
    if sinfo --noheader --format %T 2> /dev/null | grep -q -e idle -e mixed -e allocated; then
        sinfo
        exit
    fi
    sleep 1
done
echo "Slurm did not start; see $state/slurmctld.log and $state/slurmd.log" >&2
exit 1
