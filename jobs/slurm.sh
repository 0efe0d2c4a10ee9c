#!/usr/bin/env bash
{## Runs on a Slurm cluster; srun starts the ranks, no MPI is needed.  {{ ... | sh }} is quoted for the shell. ##}
#SBATCH --job-name={{ job_name | sh }}
#SBATCH --output={{ log | replace("%", "%%") | sh }}
#SBATCH --open-mode=append
#SBATCH --nodes={{ nodes }}
#SBATCH --ntasks-per-node={{ ranks_per_node }}
{% if cpus_per_rank %}
#SBATCH --cpus-per-task={{ cpus_per_rank }}
{% endif %}
{% if gpus_per_node %}
#SBATCH --gpus-per-node={{ gpus_per_node }}
{% endif %}
{% for key, value in (("mem", memory), ("time", time_limit), ("partition", partition), ("account", account),
                      ("qos", qos), ("exclude", exclude | join(","))) if value %}
#SBATCH --{{ key }}={{ value | sh }}
{% endfor %}
{% if array %}
#SBATCH --array={{ array }}{{ "%%%d" % max_parallel if max_parallel }}
{% endif %}
{% if after %}
#SBATCH --dependency={{ "aftercorr" if array else "afterany" }}:{{ after | join(":") }} --kill-on-invalid-dep=yes
{% endif %}
#SBATCH --signal=B:USR1@{{ signal_s }}
#SBATCH {{ "--requeue" if requeue else "--no-requeue" }}
{% for option in options %}
#SBATCH {{ option | sh }}
{% endfor %}
export OMP_NUM_THREADS={{ threads_per_rank }}
{% for line in setup %}
{{ line }}
{% endfor %}
tasks=({## a task of the array does its runs one after the other ##}

{% for task, run_ids in tasks.items() %}
    [{{ task }}]={{ run_ids | join(" ") | sh }}
{% endfor %}
)
read -ra run_ids <<<"${tasks[${SLURM_ARRAY_TASK_ID:-0}]}"
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --grace {{ grace_s }}
{%- if requeue %} --requeue{% endif %} "${run_ids[@]}" -- \
    srun --ntasks={{ ranks }} --ntasks-per-node={{ ranks_per_node }}
{%- if cpus_per_rank %} --cpus-per-task={{ cpus_per_rank }}{% endif %} --kill-on-bad-exit=1 --unbuffered \
    {{ python | map("sh") | join(" ") }} -m kbench.worker
