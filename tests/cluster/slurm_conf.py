"""What slurm.conf says of the clusters that tests start."""

# Short times, so that tests are; the hold of two minutes after a requeue has no setting (see start_now).
CONF = """\
ClusterName={cluster}
SlurmctldHost=localhost
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=3
MessageTimeout=5
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
{more}
PartitionName=debug Nodes={all} Default=YES MaxTime=INFINITE PriorityTier=10 PreemptMode=off
PartitionName=short Nodes={all} MaxTime=1 PriorityTier=10 PreemptMode=off
PartitionName=cheap Nodes={all} MaxTime=INFINITE PriorityTier=1 PreemptMode=requeue GraceTime=10
PartitionName=urgent Nodes={all} MaxTime=INFINITE PriorityTier=20 PreemptMode=off
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=4000\n"
# Nodes that a cloud would start when they are needed: the controller hands them out, and waits for them for ever.
CLOUD = """\
PrivateData=cloud
NodeName=cloud[0001-1000] NodeAddr=127.0.[1-4].[1-250] CPUs=64 Gres=gpu:4 RealMemory=4000 State=CLOUD
GresTypes=gpu
SuspendTime=600
SuspendProgram=/bin/true
ResumeProgram=/bin/true
ResumeTimeout=65000
MaxArraySize=10001
PartitionName=cloud Nodes=cloud[0001-1000] MaxTime=INFINITE
"""
