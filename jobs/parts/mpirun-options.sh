{## Options of mpirun, as an argument each. ##}
{% if mpirun_unset is defined and mpirun_unset and ranks > 1 %}
    "${options[@]}" \
{% elif mpirun_options %}
    {{ mpirun_options | map("sh") | join(" ") }} \
{% endif %}
