#!/usr/bin/env bash
#$ -N kb0123abcd
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -o /dev/null
#$ -notify
#$ -r n
#$ -l rt_F=8
# A path in a directive would be changed (commas, colons, dollar signs); here it is not.
exec >>/data/results/small/jobs/kb0123abcd.log 2>&1
run_ids=(digits-cnn-digits.baseline.s0.0123abcd digits-cnn-digits.iswr.s0.0123abcd digits-cnn-digits.sb.s0.0123abcd)
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Without another MPI, the one beside kbench's Python is taken.
PATH="$PATH":/opt/kbench/bin
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
hosts=$(awk -v ranks=1 '!seen[$1]++ { printf "%s%s:%d", sep, $1, ranks; sep = "," }' "${PE_HOSTFILE:-/dev/null}")
echo "allocation: 1 node(s) of 4 GPU(s), 10 core(s) per rank; given: ${hosts:=localhost:1}"
# mpirun does not carry the environment to other hosts, env does.
rank=(env OMP_NUM_THREADS=10 PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}"
    ${GOMP_SPINCOUNT+"GOMP_SPINCOUNT=$GOMP_SPINCOUNT"} ${KMP_BLOCKTIME+"KMP_BLOCKTIME=$KMP_BLOCKTIME"} \
    ${OMP_WAIT_POLICY+"OMP_WAIT_POLICY=$OMP_WAIT_POLICY"} \
    /opt/kbench/bin/python -m kbench.worker)
exec /opt/kbench/bin/python -m kbench.launch.worker_job --folder /data/results/small/runs --token kb0123abcd --grace 1785 "${run_ids[@]}" -- \
    env RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 "${rank[@]}"
