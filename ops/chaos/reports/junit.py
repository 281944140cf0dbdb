"""For continuous integration: a test case for each run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any


def of(report: Mapping[str, Any]) -> str:
    """The report as JUnit XML; figures are properties, reasons are failures."""
    runs = report["runs"]
    failures = sum(not run["held"] for run in runs)
    seconds = sum(run["timeline"]["seconds"] for run in runs)
    suite = ET.Element(
        "testsuite",
        name=f"chaos {report['stack']}",
        tests=str(len(runs)),
        failures=str(failures),
        errors="0",
        time=f"{seconds:.1f}",
    )
    for run in runs:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"chaos.{run['kind'].replace(' ', '-')}",
            name=f"{run['scenario']} ({run['repeat']})",
            time=f"{run['timeline']['seconds']:.1f}",
        )
        properties = ET.SubElement(case, "properties")
        for name, value in run["figures"].items():
            ET.SubElement(properties, "property", name=name, value="" if value is None else f"{value:g}")
        if not run["held"]:
            failure = ET.SubElement(case, "failure", message=run["reasons"][0])
            failure.text = "\n".join(run["reasons"])
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
