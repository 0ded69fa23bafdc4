"""The house rules that a reader feels: few entries at the top, small files, one name one file, tests beside modules."""

import ast
import re
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for path in (ROOT / "pipeline").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

WORDS = {
    r"\bask(s|ed|ing)?\b": "evaluate, request",
    r"signs? of life": "heartbeat",
    r"whole or not at all|whole or absent": "atomic write",
    r"without a thought": "control map",
    r"\bhardly\b": "rarely, barely",
    r"\bforesaw\b|\bforeseen\b": "unexpected",
    r"\blest\b": "so that ... not",
    r"of which (it|they|he) knows?": "known",
    r"the word whether": "a flag",
    r"flat line\b|FlatLine": "the sequence of (image, point) pairs; ChunkedEvaluator",
    r"\btold apart\b": "distinguished",
    r"\bnobody\b": "no process, no one",
    r"\bstrangers?\b": "untrusted",
    r"\banew\b": "again",
}
"""Words that are not used, and what the field says instead."""
ALLOWED = {
    ("tests/test_house.py", r"\bask(s|ed|ing)?\b"): "this list",
    ("pipeline/metrics/randomisation.py", r"\banew\b"): "its protocol, which stored results are compared with",
    ("pipeline/metrics/sensitivity.py", r"\banew\b"): "its protocol, which stored results are compared with",
}
"""(file, pattern) -> reason."""
WITHOUT_TESTS = {
    "pipeline/__main__.py": "tests/test_main.py",
    "pipeline/errors.py": "exceptions alone",
    "pipeline/audit/audit_run.py": "a sequence of calls, tested by test_planted_shortcut.py",
    "pipeline/audit/evidence.py": "data classes alone",
    "pipeline/audit/findings.py": "data classes alone",
    "pipeline/audit/image_findings.py": "data classes alone",
    "pipeline/audit/run_totals.py": "sums, tested by test_analyse.py",
    "pipeline/data/batch.py": "tested by test_stream.py",
    "pipeline/data/decoding_workers.py": "tested by test_stream.py and test_decoder_isolation.py",
    "pipeline/engine/incremental/step_graph.py": "tested by test_schedule.py and test_cost.py",
    "pipeline/launch/none.py": "a message, tested by test_processes.py",
    "pipeline/models/failure_place.py": "tested by test_factory.py and test_logits.py",
    "pipeline/models/unsupported.py": "tested by test_factory.py and test_classifier.py",
    "pipeline/run/launch_options.py": "data classes alone, filled by test_options.py",
    "pipeline/run/task_options.py": "data classes alone, filled by test_options.py",
}
"""Modules without a test file of their own, and why."""
FIRST_WORDS = re.compile(r"(How|What|Whether|Which|Where|Who|Whose|When|Why|Of)\b")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_few_entries_directly_under_the_package() -> None:
    entries = {path.name for path in (ROOT / "pipeline").iterdir()} - {"__pycache__", "conf"}
    assert len(entries) <= 20


def test_files_are_small() -> None:
    lines = {relative(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: count for name, count in lines.items() if count > 250}
    assert median(count for name, count in lines.items() if not name.endswith("__init__.py")) < 100


def test_no_two_files_share_a_name() -> None:
    names = Counter(path.name for path in MODULES if path.name != "__init__.py")
    assert not [name for name, count in names.items() if count > 1]


def test_no_two_public_classes_share_a_name() -> None:
    names: Counter[str] = Counter()
    for path in MODULES:
        names.update(node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    assert not [name for name, count in names.items() if count > 1 and not name.startswith("_")]


@pytest.mark.parametrize("pattern", WORDS, ids=lambda pattern: re.sub(r"\W+", "-", WORDS[pattern]))
def test_words_of_the_field_are_used(pattern: str) -> None:
    others = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*.*"), *(ROOT / "conf").rglob("*.yaml")]
    found = [
        f"{name}:{number}: {line.strip()}"
        for path in [*MODULES, *PAGES, *others, ROOT / "CHANGELOG.md"]
        if path.suffix != ".pyc" and (name := relative(path), pattern) not in ALLOWED and name != "tests/test_house.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line, re.IGNORECASE)
    ]
    assert not found, f"say {WORDS[pattern]}:\n" + "\n".join(found)


def test_docstrings_begin_with_a_statement() -> None:
    questions = [
        f"{relative(path)}:{node.lineno if hasattr(node, 'lineno') else 1}: {docstring.splitlines()[0]}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and (docstring := ast.get_docstring(node))
        and FIRST_WORDS.match(docstring)
    ]
    assert not questions, "\n".join(questions)


def test_every_module_has_a_test_file_or_a_reason() -> None:
    def test_file(module: Path) -> Path:
        return ROOT / "tests" / module.relative_to(ROOT / "pipeline").with_name(f"test_{module.name}")

    without = {relative(path) for path in MODULES if path.name != "__init__.py" and not test_file(path).exists()}
    assert without == set(WITHOUT_TESTS)
