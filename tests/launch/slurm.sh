#!/usr/bin/env bash
# A Slurm of one machine, without systemd, for tests: own keys, own ports, loopback only, all files in one folder.
#   slurm.sh start FOLDER NODES    nodes n1, n2, ... of one processor each; partitions low, and high, which pre-empts it
#   slurm.sh restart FOLDER        ends the controller and starts it again
#   slurm.sh stop FOLDER           cancels all jobs, ends the daemons that start began
# Needs root, and: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
# Clients: export SLURM_CONF=FOLDER/slurm.conf
set -euo pipefail
task=$1 folder=$2
export SLURM_CONF=$folder/slurm.conf

FREE_PORTS='
import contextlib, random, socket, sys
while True:  # below those that the system gives to clients
    first = random.randrange(20000, 30000)
    with contextlib.suppress(OSError), contextlib.ExitStack() as held:
        for port in range(first, first + int(sys.argv[1]) + 1):
            held.enter_context(socket.socket()).bind(("127.0.0.1", port))
        print(first)
        break
'

spawn() { # name command...: in the foreground, so that the recorded process is the daemon
    local name=$1
    shift
    setsid nohup "$@" >>"$folder/$name.out" 2>&1 </dev/null &
    echo $! >"$folder/$name.process"
}

ours() { # whether a recorded process still is a daemon of this folder
    [ -s "$1" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$1")/cmdline" | grep -qF -- "$folder"
}

end() { # signal file...
    local signal=$1 file
    shift
    for file in "$@"; do
        if ours "$file"; then kill -s "$signal" "$(cat "$file")" || true; fi
        for _ in $(seq 100); do ours "$file" || break; sleep 0.1; done
        if ours "$file"; then kill -s KILL "$(cat "$file")" || true; fi
        rm -f "$file"
    done
}

controller() { spawn controller slurmctld -D "$@" -f "$SLURM_CONF"; }

configure() { # nodes
    local host port
    host=$(hostname -s)
    port=$(python3 -c "$FREE_PORTS" "$1")
    cat <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
MpiDefault=none
SwitchType=switch/none
TaskPlugin=task/none
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
ReturnToService=2
KillWait=20
SlurmdParameters=config_overrides
SlurmdTimeout=60
CONF
    local number names=n1
    for number in $(seq "$1"); do
        [ "$number" = 1 ] || names+=,n$number
        echo "NodeName=n$number NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + number)) CPUs=1 RealMemory=1000"
    done
    echo "PartitionName=low Nodes=$names Default=YES MaxTime=60 PriorityTier=1 PreemptMode=REQUEUE GraceTime=30"
    echo "PartitionName=high Nodes=$names MaxTime=60 PriorityTier=10 PreemptMode=OFF"
}

case $task in
start)
    mkdir -p "$folder"/{state,spool,munge}
    chmod 700 "$folder/munge"
    head -c 128 /dev/urandom >"$folder/munge/key"
    chmod 400 "$folder/munge/key"
    chmod 711 "$folder/munge"
    configure "$3" >"$SLURM_CONF"
    spawn munge munged --foreground --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
        --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/munge/log"
    for _ in $(seq 100); do [ -S "$folder/munge/socket" ] && break; sleep 0.1; done
    controller -c
    for number in $(seq "$3"); do spawn "node$number" slurmd -D -c -N "n$number" -f "$SLURM_CONF"; done
    for _ in $(seq 120); do
        [ "$(timeout 5 sinfo --noheader --format=%T | sort -u)" = idle ] && exit 0
        sleep 0.5
    done
    tail -n 5 "$folder"/*.out >&2
    exit 1
    ;;
restart)
    end TERM "$folder/controller.process"
    controller
    for _ in $(seq 60); do timeout 5 scontrol ping | grep -q UP && exit 0; sleep 0.5; done
    exit 1
    ;;
stop)
    if ours "$folder/controller.process"; then
        timeout 10 scancel --partition=low,high || true
        timeout 10 scancel --me || true
        for _ in $(seq 40); do [ -z "$(timeout 5 squeue --noheader)" ] && break; sleep 0.5; done
    fi
    end TERM "$folder"/node*.process "$folder/controller.process" "$folder/munge.process"
    ;;
esac
