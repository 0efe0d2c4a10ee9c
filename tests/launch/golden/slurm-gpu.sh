#!/usr/bin/env bash
#SBATCH --job-name=small.kb0123abcd
#SBATCH --output=/data/results/small/jobs/kb0123abcd.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4
#SBATCH --mem=240G
#SBATCH --time=12:00:00
#SBATCH --partition=gpu
#SBATCH --account=myproject
#SBATCH --qos=long
#SBATCH --exclude=n3,n7
#SBATCH --dependency=afterany:12_3:13_0 --kill-on-invalid-dep=yes
#SBATCH --signal=B:USR1@600
#SBATCH --no-requeue
#SBATCH --exclusive
export OMP_NUM_THREADS=8
tasks=(
    [0]='digits-cnn-digits.baseline.s0.0123abcd digits-cnn-digits.iswr.s0.0123abcd'
)
read -ra run_ids <<<"${tasks[${SLURM_ARRAY_TASK_ID:-0}]}"
# shellcheck disable=SC2317  # the trap calls it
setup_failed() {
    trap - EXIT
    exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd \
        --setup-failed "$kbench_line ends with status $1" "${run_ids[@]}" -- true
}
setup_ended() { [ "$1" -eq 0 ] || exit "$1"; }
trap 'setup_failed "$?"' EXIT
kbench_line='setup line 1 (module load apptainer)'
module load apptainer
setup_ended "$?"
trap - EXIT
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd --grace 585 "${run_ids[@]}" -- \
    srun --ntasks=8 --ntasks-per-node=4 --cpus-per-task=8 --kill-on-bad-exit=1 --unbuffered \
    apptainer exec --nv /shared/images/kbench.sif python3 -m kbench.worker
