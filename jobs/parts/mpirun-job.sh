{## The runs of a job, their ranks started by mpirun on the nodes that node_file lists. ##}
run_ids=({{ tasks[0] | map("sh") | join(" ") }})
{% include "parts/mpirun-setup.sh" %}
hosts=$(awk -v ranks={{ ranks_per_node }} '!seen[$1]++ { printf "%s%s:%d", sep, $1, ranks; sep = "," }' {{ node_file }})
echo "allocation: {{ nodes }} node(s) of {{ gpus_per_node }} GPU(s), {{ cpus_per_rank or threads_per_rank }} core(s) per rank; given: ${hosts:=localhost:{{ ranks_per_node }}}"
# mpirun does not carry the environment to other hosts, env does.
rank=(env OMP_NUM_THREADS={{ threads_per_rank }} PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}"
{% include "parts/spin-env.sh" %}
    {{ python | map("sh") | join(" ") }} -m kbench.worker)
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --token {{ token }} --grace {{ grace_s }}
{%- if time_limit %} --limit {{ time_limit_s - signal_s }}{% endif %}
{%- if requeue %} --requeue{% endif %} "${run_ids[@]}" -- \
{% if ranks == 1 %}
    env RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 "${rank[@]}"
{% else %}
    {{ mpirun | sh }} -np {{ ranks }} --host "$hosts" \
{% include "parts/mpirun-options.sh" %}
    "${rank[@]}"
{% endif %}
