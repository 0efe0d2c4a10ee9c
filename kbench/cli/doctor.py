"""kbench doctor: what this machine has and lacks."""

from typing import TYPE_CHECKING

from kbench.cli.options import RESULTS, Output, Results, SiteName

if TYPE_CHECKING:
    from kbench.launch.diagnosis import Finding

WIDTH = 16


def doctor(site: SiteName = "", results: Results = RESULTS, *, output: Output) -> None:
    """Tell what this machine has and lacks, with the remedies; exits with 3 when it lacks what the site needs."""
    from kbench.doctor.examine import examine
    from kbench.doctor.need import need_of
    from kbench.errors import LaunchError
    from kbench.experiment.plan import read_site, site_file

    need = need_of(site_file(site), read_site(site), results=results)
    items = []
    for item in examine(need):
        items.append(item)
        output.text(_line(item))
    lacking = [item.name for item in items if item.is_fatal]
    found = [item.as_dict() for item in items]
    output.json({"site": need.name, "launcher": need.launcher, "ok": not lacking, "items": found})
    if lacking:
        raise LaunchError(
            f"this machine lacks what site {need.name!r} needs: {', '.join(lacking)}",
            hint="the lines marked missing say what to do; kbench list sites shows other sites",
        )


def _line(item: "Finding") -> str:
    """A finding on one line; what is missing and not needed is merely absent."""
    state = item.state if item.needed or item.state != "missing" else "absent"
    return f"{state:<9}{item.name:<{WIDTH}} {item.found}" + (f"  -> {item.remedy}" if item.remedy else "")
