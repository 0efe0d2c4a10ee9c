{## How a script of this machine ends. ##}
status=$?
# A run says itself how it ended; this is for one that could not.
[ "$status" -eq 0 ] || {{ host_python | sh }} -m kbench.launch.failure "$status" {{ run_dir | sh }} "$@"
exit "$status"
