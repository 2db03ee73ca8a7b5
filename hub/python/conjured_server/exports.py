"""Lab's list of formats to export to, without loading the fourteen exporters.

Lab asks for it with each page; the answer takes 10 MB and as much processor time as a
third of the server's start, and is the same as long as nobody adds an exporter or sets
one up. Exporting itself loads them as ever.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

CLASSES = "nbconvert.exporters:"
KNOWN = {  # by name: class and type, as nbconvert 7 has them
    "asciidoc": ("ASCIIDocExporter", "text/asciidoc"),
    "custom": ("TemplateExporter", ""),
    "html": ("HTMLExporter", "text/html"),
    "latex": ("LatexExporter", "text/latex"),
    "markdown": ("MarkdownExporter", "text/markdown"),
    "notebook": ("NotebookExporter", "application/json"),
    "pdf": ("PDFExporter", "application/pdf"),
    "python": ("PythonExporter", "text/x-python"),
    "qtpdf": ("QtPDFExporter", "text/html"),
    "qtpng": ("QtPNGExporter", "text/html"),
    "rst": ("RSTExporter", "text/x-rst"),
    "script": ("ScriptExporter", ""),
    "slides": ("SlidesExporter", "text/html"),
    "webpdf": ("WebPDFExporter", "text/html"),
}


def known(
    found: Iterable[EntryPoint], config: Mapping[str, Any], env: Mapping[str, str]
) -> dict[str, dict[str, str]] | None:
    """The list; None when nbconvert must say: somebody added, left out or set up an exporter."""
    if {e.name: e.value for e in found} != {name: CLASSES + c for name, (c, _) in KNOWN.items()}:
        return None
    if "NBCONVERT_DISABLE_CONFIG_EXPORTERS" in env or any(
        section.endswith("Exporter") or section == "NbConvertBase" for section in config
    ):
        return None
    return {name: {"output_mimetype": kind} for name, (_, kind) in KNOWN.items()}


def install() -> None:
    """Answer for nbconvert where the answer is known."""
    web = importlib.import_module("tornado.web")
    authorized = importlib.import_module("jupyter_server.auth.decorator").authorized
    handler = importlib.import_module("jupyter_server.services.nbconvert.handlers").NbconvertRootHandler
    stock = handler.get

    async def short(self: Any) -> None:
        answer = known(entry_points(group="nbconvert.exporters"), self.config, os.environ)
        if answer is None:
            await stock(self)
        else:
            self.finish(json.dumps(answer))

    handler.get = web.authenticated(authorized(short))
