"""HTML report `report.html`: the page of a run, which needs no network."""
