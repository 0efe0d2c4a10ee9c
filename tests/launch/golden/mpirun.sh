#!/usr/bin/env bash
export OMP_NUM_THREADS=8
# Open MPI refuses to run as root unless told twice; in a container there is nobody else.
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
others=("$@")
# shellcheck disable=SC2317  # the trap calls it
setup_failed() {
    trap - EXIT
    /opt/kbench/bin/python -m kbench.launch.failure "$kbench_line ends with status $1" /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "${others[@]}"
    exit 1
}
setup_ended() { [ "$1" -eq 0 ] || exit "$1"; }
trap 'setup_failed "$?"' EXIT
kbench_line='setup line 1 (module load openmpi)'
module load openmpi
setup_ended "$?"
kbench_line='setup line 2 (export A='"'"'x y'"'"')'
export A='x y'
setup_ended "$?"
trap - EXIT
# Bounded, as threads that spin take the processors of those that work; what is set already stays.
if [ -z "${OMP_WAIT_POLICY+set}" ]; then
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT-20000}" KMP_BLOCKTIME="${KMP_BLOCKTIME-1}"
fi
/usr/bin/mpirun -np 4 \
    --host node1:2,node2:2 \
    --bind-to core -x 'A B' \
    env OMP_NUM_THREADS=8 PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}" \
    ${GOMP_SPINCOUNT+"GOMP_SPINCOUNT=$GOMP_SPINCOUNT"} ${KMP_BLOCKTIME+"KMP_BLOCKTIME=$KMP_BLOCKTIME"} \
    ${OMP_WAIT_POLICY+"OMP_WAIT_POLICY=$OMP_WAIT_POLICY"} \
    /opt/kbench/bin/python -m kbench.worker /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || /opt/kbench/bin/python -m kbench.launch.failure "$status" /data/results/small/runs/digits-cnn-digits.baseline.s0.0123abcd "$@"
exit "$status"
