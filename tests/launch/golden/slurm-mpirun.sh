#!/usr/bin/env bash
#SBATCH --job-name=small.kb0123abcd
#SBATCH --output=/data/results/small/jobs/kb0123abcd.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --exclusive
export OMP_NUM_THREADS=8
tasks=(
    [0]=digits-cnn-digits.baseline.s0.0123abcd
)
read -ra run_ids <<<"${tasks[${SLURM_ARRAY_TASK_ID:-0}]}"
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Without another MPI, the one beside kbench's Python is taken.
PATH="$PATH":/opt/kbench/bin
options=() # of Open MPI, which counts cores and binds ranks to them unless told otherwise; others do not know these
case "$(mpirun --version 2>&1)" in *"Open MPI"* | *OpenRTE* | *PRRTE*) options=(--oversubscribe --bind-to none) ;; esac
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/:2/' | paste -sd,)
exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd --grace 285 --requeue "${run_ids[@]}" -- \
    mpirun -np 4 --host "$hosts" \
    "${options[@]}" \
    env OMP_NUM_THREADS=8 PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" \
    ${GOMP_SPINCOUNT+"GOMP_SPINCOUNT=$GOMP_SPINCOUNT"} ${KMP_BLOCKTIME+"KMP_BLOCKTIME=$KMP_BLOCKTIME"} \
    ${OMP_WAIT_POLICY+"OMP_WAIT_POLICY=$OMP_WAIT_POLICY"} \
    /opt/kbench/bin/python -m kbench.worker
