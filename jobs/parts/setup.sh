{## The site's own lines.  One that fails ends the job; setup_failed, which the script defines, puts its text on record. ##}
{% if setup %}
trap 'setup_failed "$?"' EXIT
{% for line in setup %}
kbench_line={{ ("setup line %d (%s)" % (loop.index, line)) | sh }}
eval {{ line | sh }} || exit
{% endfor %}
trap - EXIT
{% endif %}
