"""Who may import whom, and that all is annotated; so that it stays so."""

import ast
from collections.abc import Iterator
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ('common', 'samcl', 'smg', 'configs')
ALLOWED = {
  'common': {'common'},
  'samcl': {'common', 'samcl'},
  'smg': {'common', 'smg'},
  'configs': {'collections', 'configs', 'ml_collections'},
}
ONLY_IN = {
  'orbax': {'common/checkpoint.py'},
  'nibabel': {'common/volumes.py'},
  'SimpleITK': {'common/itk.py'},
  'tqdm': {'common/stream.py'},
}


def _files() -> list[pathlib.Path]:
  return [p for name in PACKAGES for p in sorted((ROOT / name).rglob('*.py'))]


def _imports(path: pathlib.Path) -> set[str]:
  found = set()
  for node in ast.walk(ast.parse(path.read_text('utf-8'))):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      found |= {f'{node.module}.{alias.name}' for alias in node.names}
  return found


@pytest.mark.parametrize(
  'path', _files(), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports(path):
  name = path.relative_to(ROOT)
  package = name.parts[0]
  roots = {module.split('.')[0] for module in _imports(path)}
  assert roots & {*PACKAGES} <= ALLOWED[package]
  if package == 'configs':
    assert roots <= ALLOWED['configs']
  for library, places in ONLY_IN.items():
    if library in roots:
      assert str(name) in places
  private = [m for m in _imports(path) if m.startswith('jax._src')]
  assert not private


def test_the_core_has_no_cycles():
  graph = {}
  for path in (ROOT / 'common').rglob('*.py'):
    name = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
    graph[name.removesuffix('.__init__')] = _imports(path)
  done: set[str] = set()

  def visit(name: str, above: tuple[str, ...]) -> None:
    assert name not in above, ' -> '.join((*above, name))
    if name in done:
      return
    for module in graph[name] & graph.keys():
      visit(module, (*above, name))
    done.add(name)

  for name in graph:
    visit(name, ())


def _functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
  """Those of modules and classes, not those within functions."""
  for child in ast.iter_child_nodes(node):
    if isinstance(child, ast.FunctionDef):
      yield child
    else:
      yield from _functions(child)


@pytest.mark.parametrize(
  'path', _files(), ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_function_says_its_types(path):
  for function in _functions(ast.parse(path.read_text('utf-8'))):
    signature = function.args
    bare = [
      one.arg
      for one in (
        *signature.posonlyargs,
        *signature.args,
        *signature.kwonlyargs,
        *filter(None, (signature.vararg, signature.kwarg)),
      )
      if one.annotation is None and one.arg not in ('self', 'cls')
    ]
    assert not bare, function.name
    is_magic = function.name in ('__init__', '__post_init__')
    assert function.returns is not None or is_magic, function.name
