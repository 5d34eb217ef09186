"""The registry: which applications there are, and which of them see an image of a category."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from casewise.applications.builtin import BUILT_IN
from casewise.applications.decision import Decision
from casewise.applications.declaration import read_declarations
from casewise.applications.declared import ANY, ON_REQUEST, Declared, PythonRun
from casewise.applications.rules import Rule, decided, needed
from casewise.errors import UsageError
from casewise.header import Header
from casewise.names import same_category

GROUP = "casewise.applications"
VARIABLE = "CASEWISE_APPLICATIONS"
UNKNOWN = "unknown"


class Registry:
    """Applications by name, in the order in which they were declared, and the rules over them.

    problems : (what, sentence) of entry points that could not be used; the others are there. needed : the facts that the rules need
    of an image's own file.
    Raises UsageError for two applications of one name and for a rule that names one that is not there.
    """

    def __init__(
        self, applications: Iterable[Declared], rules: Iterable[Rule] = (), problems: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._applications: dict[str, Declared] = {}
        self.problems = tuple(problems)
        for declared in applications:
            other = self._applications.setdefault(declared.name, declared)
            if other is not declared:
                msg = f"Two applications are named {declared.name!r} ({other.origin}; {declared.origin}); give one another name."
                raise UsageError(msg)
        self.rules = tuple(rules)
        self.needed = needed(self.rules)
        for rule in self.rules:
            for name in (*rule.add, *rule.remove):
                if name not in self._applications:
                    raise UsageError(f"{rule.origin}: the rule names {name!r}; {self._allowed()}.")

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._applications.values())

    def __len__(self) -> int:
        return len(self._applications)

    def get(self, name: str) -> Declared:
        """The application of that name. Raises UsageError, which names those there are."""
        if name not in self._applications:
            raise UsageError(f"There is no application {name!r}; {self._allowed()}.")
        return self._applications[name]

    def with_application(self, declared: Declared) -> Registry:
        """The same with another application, the last."""
        return Registry([*self, declared], self.rules, self.problems)

    def decide(self, category: str, facts: Mapping[str, object]) -> Decision:
        """What becomes of an image of a category.

        First come the applications that declare it, in the order of declaration, then the rules, in theirs. ``unknown`` brings only
        those that take every category. facts : as of :func:`casewise.applications.conditions.facts_of`.
        """
        if same_category(category, UNKNOWN):
            names = [declared.name for declared in self._applications.values() if ANY in declared.categories]
        else:
            names = [declared.name for declared in self._applications.values() if declared.takes(category)]
        return decided(self.rules, names, {**facts, "category": category})

    def names_for(self, category: str, header: Header | None = None, site: str | None = None) -> list[str]:
        """Names of the applications that see an image of a category, by what its header keeps."""
        facts = {**(header.to_json() if header else {}), "site": site}
        return list(self.decide(category, facts).applications)

    def for_route(self, category: str, header: Header | None = None, site: str | None = None) -> list[Declared]:
        """The applications that see an image.

        header : as :class:`casewise.image.Image` has it. site : where the image comes from, where that is known.
        """
        return [self._applications[name] for name in self.names_for(category, header, site)]

    def check_categories(self, known: Collection[str]) -> None:
        """Raises UsageError where an application is declared for a category that no router here predicts: it would never run.

        Those that come with casewise are left out: a router of one's own may know fewer categories.
        """
        for declared in self._applications.values():
            if declared.own:
                continue
            for category in declared.categories:
                if (
                    category in (ANY, ON_REQUEST)
                    or same_category(category, UNKNOWN)
                    or any(same_category(category, other) for other in known)
                ):
                    continue
                near = difflib.get_close_matches(category, known, 1)
                guess = f" (did you mean {near[0]!r}?)" if near else ""
                raise UsageError(
                    f"{declared.origin}: the application {declared.name!r} is declared for the category {category!r}{guess}; "
                    f"the router predicts {', '.join(sorted(known))}; '*' takes every image."
                )

    def to_json(self) -> list[dict[str, object]]:
        return [declared.to_json() for declared in self._applications.values()]

    def _allowed(self) -> str:
        return f"the applications are {', '.join(self._applications) or 'none'}; `casewise applications` lists them"


def named_files() -> list[Path]:
    """The TOML files that CASEWISE_APPLICATIONS names, parted as in PATH."""
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def default_registry(files: Sequence[Path] | None = None) -> Registry:
    """The applications that come with casewise, those that installed packages bring, and those of TOML files.

    files : the TOML files; None takes :func:`named_files`.
    """
    applications, rules = list(BUILT_IN), []
    brought, problems = _of_entry_points(entry_points(group=GROUP))
    applications += brought
    for path in named_files() if files is None else files:
        more, its_rules = read_declarations(path)
        applications += more
        rules += its_rules
    return Registry(applications, rules, problems)


def _of_entry_points(points: Iterable[EntryPoint]) -> tuple[list[Declared], list[tuple[str, str]]]:
    found, problems = [], []
    for point in points:
        package = point.dist.name if point.dist is not None else "a package"
        what = f"The application {point.name!r} of {package}"
        try:
            found.append(_declared_by(point, package))
        except UsageError as error:
            problems.append((point.name, f"{what} cannot be used: {error}"))
        except Exception as error:  # another's module may raise anything when it is imported
            problems.append((point.name, f"{what} cannot be loaded ({type(error).__name__}: {error}); update or remove it."))
    return found, problems


def _declared_by(point: EntryPoint, package: str) -> Declared:
    """An entry point names a ``Declared``, or a class that says its ``categories`` and ``features`` itself."""
    loaded = point.load()
    if isinstance(loaded, Declared):
        return replace(loaded, own=False)
    try:
        categories, features = tuple(loaded.categories), tuple(loaded.features)
    except (AttributeError, TypeError) as error:
        msg = "it is neither a Declared nor a class with the lists categories and features."
        raise UsageError(msg) from error
    return Declared(point.name, categories, features, PythonRun(point.value), origin=package)
