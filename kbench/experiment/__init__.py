"""Run an experiment: plan what is missing, check it, submit or start it, follow it, cancel it."""
