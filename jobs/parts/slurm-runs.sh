{## A task of the array trains its runs one after the other; the command that starts their ranks follows. ##}
exec {{ host_python | sh }} -m kbench.launch.worker_job --folder {{ runs | sh }} --token {{ token }} --grace {{ grace_s }}
{%- if requeue %} --requeue{% endif %} "${run_ids[@]}" -- \
