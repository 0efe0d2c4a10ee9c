{## The site's own lines.  One that fails ends the job, and its text is the reason on record. ##}
{% if setup %}
{% if run_dir is defined %}
others=("$@")
{% endif %}
# shellcheck disable=SC2317  # the trap calls it
setup_failed() {
    trap - EXIT
{% if run_dir is defined %}
    {{ host_python | sh }} -m kbench.launch.failure "$kbench_line ends with status $1" {{ run_dir | sh }} "${others[@]}"
    exit 1
{% else %}
    exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --token {{ token }} \
        --setup-failed "$kbench_line ends with status $1" "${run_ids[@]}" -- true
{% endif %}
}
setup_ended() { [ "$1" -eq 0 ] || exit "$1"; }
trap 'setup_failed "$?"' EXIT
{% for line in setup %}
kbench_line={{ ("setup line %d (%s)" % (loop.index, line)) | sh }}
{{ line }}
setup_ended "$?"
{% endfor %}
trap - EXIT
{% endif %}
