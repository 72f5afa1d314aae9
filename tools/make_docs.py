"""Builds the documentation as a web site in build/docs, and fails on a link that leads nowhere.

The pages are the Markdown files of the project, where they lie; what they link to besides comes along.
"""

import logging
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import MkDocsException

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "docs-pages"
SITE = ROOT / "build" / "docs"
SETTINGS = ROOT / "tools" / "mkdocs.yml"
NO_PAGES = frozenset({"build", "dist", "node_modules"})
LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#\s]+)")
SECTIONS = {
    "Use it": ("install", "hostd", "security", "hotswap", "cli", "api", "doctor", "power", "faults", "virtual-rack"),
    "How it works": ("architecture", "link", "firmware", "update", "emulator", "metering"),
}


def main() -> None:
    """Build the site."""
    logging.basicConfig(level=logging.WARNING, format="docs: %(message)s")
    shutil.rmtree(PAGES, ignore_errors=True)
    pages = sorted(_pages())
    for page in pages:
        for file in (page, *_linked(page)):
            copy = PAGES / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    navigation = _navigation([page.relative_to(ROOT) for page in pages])
    config = load_config(str(SETTINGS), docs_dir=str(PAGES), site_dir=str(SITE), nav=navigation)
    try:
        build(config)
    except MkDocsException as error:
        sys.exit(f"docs: {error}")
    sys.stdout.write(f"{(SITE / 'index.html').relative_to(ROOT)}\n")


def _pages() -> Iterator[Path]:
    for path in ROOT.rglob("*.md"):
        parts = path.relative_to(ROOT).parts
        if not NO_PAGES.intersection(parts) and not any(part.startswith(".") for part in parts):
            yield path


def _linked(page: Path) -> Iterator[Path]:
    """Yield the files that a page links to. A link to a folder is one to its README."""
    for match in LINK.finditer(page.read_text("utf-8")):
        file = (page.parent / match["target"]).resolve()
        if file.is_file() and file.is_relative_to(ROOT) and file.suffix != ".md":
            yield file


def _navigation(pages: list[Path]) -> list[object]:
    """Return every page once: the sections, the decisions, and what stands elsewhere in the project."""
    left = {str(page): page for page in pages}
    navigation: list[object] = [left.pop("README.md").name]
    for title, names in SECTIONS.items():
        files = [f"docs/{name}.md" for name in names]
        navigation.append({title: [str(left.pop(file)) for file in files if file in left]})
    decisions = [file for file in left if file.startswith("docs/decisions/")]
    others = [file for file in left if file not in decisions]
    return [*navigation, {"Hardware and more": others}, {"Decisions": decisions}]


if __name__ == "__main__":
    main()
