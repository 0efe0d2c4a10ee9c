{## The runs of each task of the array, and those of this one. ##}
tasks=(
{% for task, run_ids in tasks.items() %}
    [{{ task }}]={{ run_ids | join(" ") | sh }}
{% endfor %}
)
read -ra run_ids <<<"${tasks[${SLURM_ARRAY_TASK_ID:-0}]}"
