"""The bill of materials of a wheel (CycloneDX, PEP 770): what is in it, what it was built with, what it needs.

setup.py calls this while it makes a wheel. The same inputs give the same bytes.
"""

import json
import os
import re
import subprocess
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

FILE = "sboms/cbpnet.cdx.json"  # below .dist-info

# Packages that a part of is compiled into the extension module, and their licenses
COMPILED_IN = {"Cython": "Apache-2.0", "numpy": "BSD-3-Clause"}
COMPILED = "a part of it is compiled into cbp._core"


def purl(name: str, release: str = "") -> str:
    """Return the package URL of a package on PyPI: names in lower case, with hyphens."""
    return f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}" + (f"@{release}" if release else "")


def package(name: str, release: str = "", **more: Any) -> dict[str, Any]:
    """Return a component for a package on PyPI."""
    place = purl(name, release)
    known = {"type": "library", "bom-ref": place, "name": name, "version": release, "purl": place, **more}
    return {key: value for key, value in known.items() if value}


def licensed(expression: str) -> list[dict[str, Any]]:
    """Return a list of licenses with one SPDX identifier."""
    return [{"license": {"id": expression}}]


def compiled_in() -> list[dict[str, Any]]:
    """Return the packages that lend code to the extension module: what Cython writes, the inline part of NumPy's C."""
    return [
        package(name, version(name), licenses=licensed(terms), scope="required", description=COMPILED)
        for name, terms in COMPILED_IN.items()
    ]


def needed(requirements: list[str], scope: str) -> list[dict[str, Any]]:
    """Return the packages of a list of requirements, each once; which versions will do is a property."""
    wanted: dict[str, list[str]] = {}
    for text in sorted(set(requirements)):
        wanted.setdefault(re.match(r"[\w.-]+", text)[0], []).append(text)
    return [
        package(name, scope=scope, properties=[{"name": "cbpnet:requires", "value": text} for text in texts])
        for name, texts in wanted.items()
    ]


def compilers(made: Any) -> list[dict[str, Any]]:
    """Return the compiler as it names itself, if this object of setuptools is one; Microsoft's only has a type."""
    if not hasattr(made, "compiler_type"):
        return []
    command = getattr(made, "compiler_so", None)
    said = (
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout if command else ""
    )
    return [{"type": "application", "name": "C compiler", "version": said.partition("\n")[0] or made.compiler_type}]


def tools(compiler: Any) -> list[dict[str, Any]]:
    """Return what built the wheel."""
    packages = (package(name, version(name)) for name in ("setuptools", "Cython"))
    return [
        *({**known, "type": "application", "bom-ref": f"tool:{known['name']}"} for known in packages),
        *compilers(compiler),
    ]


def bill(distribution: Any, compiler: Any) -> str:
    """Return the document for a distribution of setuptools whose extension module this compiler made."""
    about = distribution.metadata
    this = package(
        about.name, about.version, licenses=licensed(about.license_expression), description=about.description
    )
    optional = [text for texts in distribution.extras_require.values() for text in texts]
    required = needed(distribution.install_requires, "required")
    parts = compiled_in()
    known = {part["name"] for part in required}
    beside = [part for part in needed(optional, "optional") if part["name"] not in known]
    metadata = {
        "lifecycles": [{"phase": "build"}],
        "tools": {"components": tools(compiler)},
        "component": this,
    }
    if "SOURCE_DATE_EPOCH" in os.environ:
        metadata["timestamp"] = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC).isoformat()
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [*parts, *required, *beside],
        "dependencies": [
            {"ref": this["bom-ref"], "dependsOn": sorted(part["bom-ref"] for part in (*parts, *required))},
            *({"ref": part["bom-ref"]} for part in (*parts, *required, *beside)),
        ],
    }
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document)).urn
    return json.dumps(document, indent=1) + "\n"
