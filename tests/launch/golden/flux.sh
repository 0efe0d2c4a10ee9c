#!/usr/bin/env bash
#flux: --job-name=kb0123abcd
#flux: --output=/data/results/small/jobs/kb0123abcd.log
#flux: --nodes=2
#flux: --nslots=8
#flux: --cores-per-slot=8
#flux: --gpus-per-slot=1
#flux: --time-limit=43200s
#flux: --bank=faster
#flux: --dependency=afterany:12
#flux: --exclusive
export OMP_NUM_THREADS=8
run_ids=(digits-cnn-digits.baseline.s0.0123abcd)
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
# What Flux calls this job outside of it, and the hosts that it has.
KBENCH_JOB_ID=$(flux job id --to=dec "$(flux getattr jobid)")
KBENCH_JOB_NODES=$(mktemp)
export KBENCH_JOB_ID KBENCH_JOB_NODES
flux exec -r all hostname >"$KBENCH_JOB_NODES"
exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd --grace 585 --limit 42600 "${run_ids[@]}" -- \
    flux run --nodes=2 --ntasks=8 --cores-per-task=8 --gpus-per-task=1 \
    /opt/kbench/bin/python -m kbench.worker
