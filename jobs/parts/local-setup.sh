{## What a script of this machine does where a line of setup fails, and those lines. ##}
{% if setup %}
others=("$@")
setup_failed() {
    trap - EXIT
    {{ host_python | sh }} -m kbench.launch.failure "$kbench_line ends with status $1" {{ run_dir | sh }} "${others[@]}"
    exit 1
}
{% endif %}
{% include "parts/setup.sh" %}
