{## What a job does where a line of setup fails, and those lines. ##}
{% if setup %}
setup_failed() {
    trap - EXIT
    exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --token {{ token }} \
        --setup-failed "$kbench_line ends with status $1" "${run_ids[@]}" -- true
}
{% endif %}
{% include "parts/setup.sh" %}
