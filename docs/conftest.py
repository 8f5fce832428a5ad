"""The examples of these pages are tests: Python runs, recipes load."""

from pathlib import Path
from tempfile import TemporaryDirectory

from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

from pytest_orchestrator import recipe


class RecipeParser(CodeBlockParser):
    """Loads each YAML block that is a whole recipe."""

    language = "yaml"

    def evaluate(self, example: Example) -> None:
        """Load a block as a file of its own.

        Raises:
            RecipeError: The block is no good recipe; its lines count from the block's first.
        """
        text = example.parsed.encode()
        if recipe.looks_like_recipe(text):
            with TemporaryDirectory() as folder:
                path = Path(folder, "example.yaml")
                path.write_bytes(text)
                recipe.load(path, root=path.parent)


# The blocks of one page are the files of a project, which has its own test.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), RecipeParser()],
    patterns=["*.md"],
    excludes=["*writing-a-step-type.md"],
).pytest()
