{## The directives of a Slurm job: what the site requests. ##}
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
{% if after or after_whole %}
#SBATCH --dependency=
{%- if after %}{{ "aftercorr" if array else "afterany" }}:{{ after | join(":") }}{{ "," if after_whole }}{% endif %}
{%- if after_whole %}afterany:{{ after_whole | join(":") }}{% endif %} --kill-on-invalid-dep=yes
{% endif %}
#SBATCH --signal=B:USR1@{{ signal_s }}
#SBATCH {{ "--requeue" if requeue else "--no-requeue" }}
{% for option in options %}
#SBATCH {{ option | sh }}
{% endfor %}
