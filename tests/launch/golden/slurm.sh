#!/usr/bin/env bash
#SBATCH --job-name=small.kb0123abcd
#SBATCH --output=/data/results/small/jobs/kb0123abcd.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --array=0,1%4
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --exclusive
export OMP_NUM_THREADS=8
tasks=(
    [0]=digits-cnn-digits.baseline.s0.0123abcd
    [1]=digits-cnn-digits.iswr.s0.0123abcd
)
read -ra run_ids <<<"${tasks[${SLURM_ARRAY_TASK_ID:-0}]}"
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd --grace 285 --requeue "${run_ids[@]}" -- \
    srun --ntasks=1 --ntasks-per-node=1 --cpus-per-task=8 --kill-on-bad-exit=1 --unbuffered \
    /opt/kbench/bin/python -m kbench.worker
