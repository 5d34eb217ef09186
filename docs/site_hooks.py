"""Hooks of the documentation site: model cards and benchmark results become pages, links into the repository lead to them.

A page links to files of the repository by their path (``../../benchmarks/results/regions.md``), so that it can be read there too.
Here such a link is turned to the page, or the copied file, that the site has for it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
RESULTS, SHIPPED = ROOT / "benchmarks" / "results", ROOT / "src" / "casewise" / "models" / "shipped"
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, Path]:
    """Place in the site → file of the repository that becomes a page there."""
    cards = {f"models/{path.parent.name}.md": path for path in sorted(SHIPPED.glob("*/card.md"))}
    results = {f"benchmarks/{path.name}": path for path in sorted(RESULTS.glob("*.md"))}
    whole = {
        "changelog.md": ROOT / "CHANGELOG.md",
        "contributing.md": ROOT / "CONTRIBUTING.md",
        "licences.md": ROOT / "LICENSE-WEIGHTS.md",
    }
    return cards | results | whole


def copies() -> dict[str, Path]:
    """Place in the site → file of the repository that is copied there as it is."""
    beside = [path for path in sorted(RESULTS.iterdir()) if path.suffix in (".json", ".png", ".csv")]
    examples = [path for path in sorted((ROOT / "examples").iterdir()) if path.is_file()]
    return {f"benchmarks/{path.name}": path for path in beside} | {
        "LICENSE.txt": ROOT / "LICENSE",
        **{f"examples/{path.name}": path for path in examples},
    }


def on_config(config: Any) -> Any:
    """The cards and results go under their headings of the navigation."""
    for entry in config.nav:
        for title, below in entry.items():
            if title in ("Models", "Benchmarks"):
                below += [place for place in pages() if place.startswith(f"{title.lower()}/")]
            elif title == "Background":
                below += [place for place in pages() if "/" not in place]
    return config


def on_files(files: Files, config: Any) -> Files:
    for place, path in pages().items():
        files.append(File.generated(config, place, content=path.read_text(encoding="utf-8")))
    for place, path in copies().items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links by paths of the repository, turned to those of the site; code blocks stay as they are."""
    place = page.file.src_uri
    here = pages().get(place, Path(config.docs_dir) / place)
    homes = {path: name for name, path in (pages() | copies()).items()}

    def turned(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(here.parent / match[2]))
        if re.match(r"[a-z]+:", match[2]):
            return match[0]
        if target.is_relative_to(config.docs_dir):
            home = target.relative_to(config.docs_dir).as_posix()
        elif target in homes:
            home = homes[target]
        else:
            return match[0]  # a broken link: MkDocs says so
        return f"{match[1]}{PurePosixPath(os.path.relpath(home, PurePosixPath(place).parent))}{match[3] or ''}{match[4]}"

    parts = _FENCED.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(turned, part) for part in parts)
