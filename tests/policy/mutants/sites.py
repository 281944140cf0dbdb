"""What can be changed in a module so that its tests should notice, and the module with one such change in it."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

# From a node's parent to itself: the field, and the place where the field is a list.
Step = tuple[str, int | None]

_ORDER: Final = MappingProxyType(
    {
        ast.Lt: (ast.LtE, ast.GtE),
        ast.LtE: (ast.Lt, ast.Gt),
        ast.Gt: (ast.GtE, ast.LtE),
        ast.GtE: (ast.Gt, ast.Lt),
        ast.Eq: (ast.NotEq,),
        ast.NotEq: (ast.Eq,),
        ast.In: (ast.NotIn,),
        ast.NotIn: (ast.In,),
        ast.Is: (ast.IsNot,),
        ast.IsNot: (ast.Is,),
    }
)
_ARITHMETIC: Final = MappingProxyType(
    {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Div,
        ast.Div: ast.Mult,
        ast.FloorDiv: ast.Div,
        ast.Mod: ast.Div,
        ast.Pow: ast.Mult,
        ast.BitAnd: ast.BitOr,
        ast.BitOr: ast.BitAnd,
    }
)
# Types are no behaviour, and what a decorator takes is the standard library's.
_LEFT_ALONE: Final = ("annotation", "returns", "decorator_list", "format_spec")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change: `operator` is its kind, `before` and `after` are source texts, `line` counts from 1.

    `inside`: it is in a function, and not in what is done when the module is imported.
    """

    line: int
    operator: str
    before: str
    after: str
    inside: bool
    path: tuple[Step, ...]
    node: ast.AST

    def applied(self, source: str) -> ast.Module:
        """The module with this change in it."""
        tree = ast.parse(source)
        parent: ast.AST = tree
        for field, place in self.path[:-1]:
            found = getattr(parent, field)
            parent = found if place is None else found[place]
        field, place = self.path[-1]
        if place is None:
            setattr(parent, field, self.node)
        else:
            getattr(parent, field)[place] = self.node
        return ast.fix_missing_locations(tree)


def mutants(source: str) -> list[Mutant]:
    """All changes of a module, in the order of its text."""
    return [
        Mutant(
            line=(node.target if isinstance(node, ast.comprehension) else node).lineno,  # type: ignore[attr-defined]
            operator=operator,
            before=ast.unparse(node),
            after=ast.unparse(ast.fix_missing_locations(ast.copy_location(new, node))),
            inside=inside,
            path=path,
            node=new,
        )
        for path, node, inside in _nodes(ast.parse(source), ())
        for operator, new in _variants(node)
    ]


def _nodes(
    node: ast.AST, path: tuple[Step, ...], inside: bool = False
) -> Iterator[tuple[tuple[Step, ...], ast.AST, bool]]:
    yield path, node, inside
    for field, value in ast.iter_fields(node):
        if field in _LEFT_ALONE or (isinstance(node, ast.JoinedStr) and field != "values"):
            continue
        for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_docstring(child):
                continue
            if isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant):
                continue  # a part of a text, which is changed as a whole
            is_body = isinstance(node, ast.FunctionDef) and field == "body"
            yield from _nodes(child, (*path, (field, place)), inside or is_body)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", ast.Constant(value + 1)
        case ast.Constant(value=str(value)):
            yield "text", ast.Constant(f"XX{value}XX")
        case ast.JoinedStr(values=values):
            yield "text", ast.JoinedStr([ast.Constant("XX"), *values, ast.Constant("XX")])
        case ast.Compare(left=left, ops=orders, comparators=comparators):
            for place, order in enumerate(orders):
                for other in _ORDER[type(order)]:
                    yield "comparison", ast.Compare(left, [*orders[:place], other(), *orders[place + 1 :]], comparators)
        case ast.BoolOp(op=operation, values=values):
            yield "and, or", ast.BoolOp(ast.And() if isinstance(operation, ast.Or) else ast.Or(), values)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield "not, minus", operand
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
            yield "arithmetic", ast.BinOp(left, _ARITHMETIC[type(operation)](), right)
        case ast.Call(func=func, args=args, keywords=keywords):
            yield from _without_arguments(func, args, keywords)
        case ast.comprehension(target=target, iter=source, ifs=[_, *_], is_async=is_async):
            yield "condition", ast.comprehension(target, source, [], is_async)
        case _:
            yield from _statements(node)


def _without_arguments(
    func: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]
) -> Iterator[tuple[str, ast.AST]]:
    for place, argument in enumerate(args):
        if not isinstance(argument, ast.Starred) and ast.unparse(argument) != "None":
            yield "argument", ast.Call(func, [*args[:place], ast.Constant(None), *args[place + 1 :]], keywords)
    for place, _ in enumerate(keywords):
        yield "argument", ast.Call(func, args, [*keywords[:place], *keywords[place + 1 :]])


def _statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.If(body=body, orelse=orelse):
            yield from (("condition", ast.If(ast.Constant(value), body, orelse)) for value in (True, False))
        case ast.IfExp(body=body, orelse=orelse):
            yield "condition", body
            yield "condition", orelse
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "result", ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            # Without the yield a function may be no generator any more.
            yield "statement", ast.Expr(ast.YieldFrom(ast.Tuple([], ast.Load())))
        case ast.Expr() | ast.Raise():
            yield "statement", ast.Pass()
        case ast.AugAssign(target=target, op=operation, value=value):
            yield "statement", ast.Assign([target], value)
            if type(operation) in _ARITHMETIC:
                yield "arithmetic", ast.AugAssign(target, _ARITHMETIC[type(operation)](), value)
        case ast.Assign(targets=targets, value=value) if ast.unparse(value) != "None":
            yield "statement", ast.Assign(targets, ast.Constant(None))
        case ast.Continue():
            yield "statement", ast.Break()
        case ast.Break():
            yield "statement", ast.Continue()
