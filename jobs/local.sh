#!/usr/bin/env bash
{## One run on this machine, or those whose folders are its arguments as well, in turns.  {{ ... | sh }} is a value of the site or of kbench, quoted for the shell. ##}
export OMP_NUM_THREADS={{ threads_per_rank | sh }}
{% include "parts/setup.sh" %}
{% include "parts/spin.sh" %}
{% if ranks == 1 %}
export RANK=0 WORLD_SIZE=1 LOCAL_RANK=0
{{ python | map("sh") | join(" ") }} -m kbench.worker {{ run_dir | sh }} "$@"
{% else %}
{{ python | map("sh") | join(" ") }} -m torch.distributed.run --standalone --nproc-per-node {{ ranks | sh }} \
    --module kbench.worker {{ run_dir | sh }} "$@"
{% endif %}
{% include "parts/local-end.sh" %}
