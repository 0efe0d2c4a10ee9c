#!/usr/bin/env bash
export OMP_NUM_THREADS=8
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
/usr/bin/mpirun -np 2 \
    --hostfile 'my hosts.txt' \
    env OMP_NUM_THREADS=8 PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" \
    ${GOMP_SPINCOUNT+"GOMP_SPINCOUNT=$GOMP_SPINCOUNT"} ${KMP_BLOCKTIME+"KMP_BLOCKTIME=$KMP_BLOCKTIME"} \
    ${OMP_WAIT_POLICY+"OMP_WAIT_POLICY=$OMP_WAIT_POLICY"} \
    apptainer exec 'my image.sif' python3 -m kbench.worker /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || /opt/kbench/bin/python -m kbench.launch.failure "$status" /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
exit "$status"
