"""Code of the templates of the reports: modules of `pytest_orchestrator/reports/compiled`.

The code is that of Jinja2, except for what takes most of the time. A dot is an attribute and
brackets are an item, as in Python, so a name that does not exist is an error. One call escapes all
values between two tags of a template. A macro is a function.
"""
# ruff: noqa: N802  # the names of methods are those of Jinja2

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, MacroRef
from jinja2.idtracking import VAR_LOAD_RESOLVE, VAR_LOAD_UNDEFINED

from pytest_orchestrator.reports import templating
from pytest_orchestrator.reports.html import render

COMPILED = templating.FOLDER.with_name("compiled")
_USED = "from jinja2.runtime import "


class Generator(CodeGenerator):
    """Generator of the code of a template: Python that looks up and escapes values fast."""

    _macros: frozenset[str] = frozenset()
    _blocks: frozenset[str] = frozenset()

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        """Write the module; note the names of all macros first."""
        imported = (name for one in node.find_all(nodes.FromImport) for name in one.names)
        own = (macro.name for macro in node.find_all(nodes.Macro))
        self._macros = frozenset((*own, *map(str, imported)))
        targets = (block.target for block in node.find_all(nodes.AssignBlock))
        self._blocks = frozenset(one.name for one in targets if isinstance(one, nodes.Name))
        super().visit_Template(node, frame)

    def enter_frame(self, frame: Frame) -> None:
        """Write the first values of variables; one that a macro sets itself is not looked up."""
        loads = frame.symbols.loads
        for target, (action, name) in loads.items():
            if action == VAR_LOAD_RESOLVE and name in frame.symbols.stores and not frame.rootlevel:
                loads[target] = (VAR_LOAD_UNDEFINED, None)
        super().enter_frame(frame)

    def write_commons(self) -> None:
        """Write the first lines of the function of a template."""
        self.writeline("resolve = context.resolve_or_missing")
        self.writeline("undefined = environment.undefined")
        self.writeline("concat = environment.concat")

    def writeline(self, x: str, node: nodes.Node | None = None, extra: int = 0) -> None:
        """Write a line, but not the mapping of a loop's variables, which no template needs."""
        if x != "_loop_vars = {}":
            super().writeline(x, node, extra)

    def pop_assign_tracking(self, frame: Frame) -> None:
        """Export the variables that a template has set, but not those of its loops."""
        if frame.loop_frame:
            self._assign_stack.pop()
        else:
            super().pop_assign_tracking(frame)

    def blockvisit(self, nodes: Any, frame: Frame) -> None:
        """Write a block; a whole template collects its text as a macro does, and yields it once."""
        is_whole = frame.rootlevel and frame.buffer is None
        if is_whole:
            self.buffer(frame)
        super().blockvisit(nodes, frame)
        if is_whole:
            self.writeline(f"yield concat({frame.buffer})")

    def macro_def(self, macro_ref: MacroRef, frame: Frame) -> None:  # noqa: ARG002
        """Write the value of a macro: its function."""
        self.write("macro")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        """Write a formatted string, after the values in it are assigned to variables."""
        values: list[nodes.Expr] = []
        pieces: list[str] = [""]
        for child in node.nodes:
            text = _constant(child, frame)
            if text is None:
                values += [] if child in values else [child]
                pieces += [f"{{v_{values.index(child)}}}", ""]
            else:
                pieces[-1] += text.replace("{", "{{").replace("}", "}}")
        unsafe = [one for one in values if not self._is_safe(one)]
        for one in values:
            if one not in unsafe:
                self._assign(f"v_{values.index(one)}", [one], frame, "")
        if unsafe:
            names = ", ".join(f"v_{values.index(one)}" for one in unsafe)
            self._assign(names, unsafe, frame, "all_escaped" if len(unsafe) > 1 else "escaped")
        self.writeline(f"{frame.buffer}.append(")
        self.indent()
        for constant, value in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
            if constant or value or not values:
                self.writeline(f"f{constant + value!r}")
        self.outdent()
        self.writeline(")")

    def _assign(
        self, names: str, values: Sequence[nodes.Expr], frame: Frame, function: str
    ) -> None:
        """Write an assignment of values, which a function has escaped unless its name is empty."""
        is_tuple = "(" if len(values) > 1 else ""
        self.writeline(f"{names} = {function}({is_tuple}")
        for number, value in enumerate(values):
            self.write(", " if number else "")
            if self._is_macro(value):
                self._call(value, frame)
            elif isinstance(value, nodes.Filter) and value.name == "safe" and value.node:
                self.visit(value.node, frame)
            else:
                self.visit(value, frame)
        self.write(")" * (1 + len(is_tuple)))

    def _is_safe(self, node: nodes.Node | None) -> bool:
        """Return True if the value of a node has no character that must be escaped."""
        match node:
            case None:
                return True
            case nodes.Const():
                return isinstance(node.value, str) and templating.escaped(node.value) == node.value
            case nodes.CondExpr():
                return self._is_safe(node.expr1) and self._is_safe(node.expr2)
            case nodes.Filter():
                return node.name in templating.SAFE
            case nodes.Name():
                return node.name in self._blocks
            case nodes.Call(node=nodes.Name()):
                return node.node.name in self._macros | templating.SAFE
        return False

    def _is_macro(self, node: nodes.Node) -> bool:
        is_call = isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name)
        return is_call and node.node.name in self._macros

    def _call(self, node: nodes.Call, frame: Frame) -> None:
        self.visit(node.node, frame)
        self.write("(")
        for number, value in enumerate(node.args):
            self.write(", " if number else "")
            self.visit(value, frame)
        self.write(")")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: ARG002
        """Write a call; the text of a macro is marked as escaped, unless it is output at once."""
        is_macro = self._is_macro(node)
        self.write("Markup(" if is_macro else "")
        self._call(node, frame)
        self.write(")" if is_macro else "")

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:
        """Write a variable; the value of one that is not set fails when it is used."""
        is_counted = frame.toplevel or frame.loop_frame or frame.block_frame
        if node.ctx == "store" and is_counted and self._assign_stack:
            self._assign_stack[-1].add(node.name)
        self.write(frame.symbols.ref(node.name))

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        """Write an attribute."""
        self.visit(node.node, frame)
        self.write(f".{node.attr}")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        """Write an item or a slice."""
        self.visit(node.node, frame)
        self.write("[")
        self.visit(node.arg, frame)
        self.write("]")

    def visit_CondExpr(self, node: nodes.CondExpr, frame: Frame) -> None:
        """Write a conditional expression; without an `else` it is an empty text."""
        soft = frame.soft()
        self.write("(")
        self.visit(node.expr1, soft)
        self.write(" if ")
        self.visit(node.test, soft)
        self.write(" else ")
        if node.expr2 is None:
            self.write("''")
        else:
            self.visit(node.expr2, soft)
        self.write(")")


def _constant(node: nodes.Expr, frame: Frame) -> str | None:
    """Return the text of a node that is constant; None for other nodes."""
    try:
        value = node.as_const(frame.eval_ctx)
    except nodes.Impossible:
        return None
    return str(value if isinstance(node, nodes.TemplateData) else templating.escaped(value))


def environment() -> jinja2.Environment:
    """Return Jinja2's environment of the templates, with the filters of this package only."""
    render.add_filters()
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templating.FOLDER),
        autoescape=True,
        finalize=templating.escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters = dict(templating.Environment.filters)
    made.tests = dict(templating.Environment.tests)
    made.globals = dict(templating.Environment.globals)
    return made


def module_text(code: str, name: str) -> str:
    """Return the text of a module for the code that Jinja2 made of a template.

    Raises:
        ValueError: This version of Jinja2 makes other code.
    """
    head, _, rest = code.partition("\n")
    if not head.startswith(_USED):
        raise ValueError(f"Jinja2 {jinja2.__version__} begins a module with {head!r}")
    known = {*head.removeprefix(_USED).split(", "), "all_escaped", "escaped"} - {"escape"}
    names = sorted(one for one in known if re.search(rf"\b{one}\b", rest))
    names.append("Environment as environment")
    imports = f"from pytest_orchestrator.reports.templating import {', '.join(names)}"
    about = f'"""`templates/{name}`, compiled by Jinja2."""'
    return f"{about}\n\n{imports}\n{rest}\n"


def modules() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of each compiled module."""
    yield COMPILED / "__init__.py", '"""Templates of the reports, compiled to Python."""\n'
    jinja = environment()
    jinja.code_generator_class = Generator
    for file in sorted((*templating.FOLDER.glob("*.html"), *templating.FOLDER.glob("*.svg"))):
        code = jinja.compile(file.read_text(encoding="utf-8"), file.name, file.name, raw=True)
        yield COMPILED / f"{file.stem}.py", module_text(code, file.name)
