"""What a run leaves behind: one page to look at, and its figures for other programs."""

from collections.abc import Sequence
from pathlib import Path

from sttn.evaluation.cases import CaseSource
from sttn.evaluation.methods import Network
from sttn.evaluation.report.page import PageConfig, write_page
from sttn.evaluation.results import Results, write_csv, write_json

__all__ = ["PageConfig", "write_report"]


def write_report(
    results: Results,
    sources: Sequence[CaseSource],
    networks: Sequence[Network],
    store: Path,
    output: Path,
    config: PageConfig,
) -> Path:
    """Write ``results.json``, ``results.csv`` and ``index.html`` into a folder.

    Returns:
        The page.
    """
    output.mkdir(parents=True, exist_ok=True)
    write_json(results, output / "results.json")
    write_csv(results, output / "results.csv")
    page = output / "index.html"
    write_page(results, sources, networks, store, page, config)
    return page
