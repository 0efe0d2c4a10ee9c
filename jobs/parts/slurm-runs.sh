{## A task of the array trains its runs one after the other; the command that starts their ranks follows. ##}
tasks=(
{% for task, run_ids in tasks.items() %}
    [{{ task }}]={{ run_ids | join(" ") | sh }}
{% endfor %}
)
read -ra run_ids <<<"${tasks[${SLURM_ARRAY_TASK_ID:-0}]}"
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --grace {{ grace_s }}
{%- if requeue %} --requeue{% endif %} "${run_ids[@]}" -- \
