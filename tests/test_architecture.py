"""Which rooms of the package may import which: docs/ARCHITECTURE.md, held."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import gritcodec

ROOT = Path(gritcodec.__file__).parent
PAGE = Path(__file__).parent.parent / "docs" / "ARCHITECTURE.md"
# What needs torch to be imported.
WITH_TORCH = ("gritcodec.nn", "gritcodec.quantize", "gritcodec.train", "gritcodec.engine.torch")
WITH_TORCH += ("gritcodec.engine.refine", "gritcodec.engine.store")


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room(module: str) -> str:
    """The part of the package a module lies in; those beside the rooms are rooms of their own."""
    return module.split(".")[1] if "." in module else "gritcodec"


def for_types_alone(tree: ast.Module) -> set[int]:
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    return {id(inner) for block in blocks for line in block.body for inner in ast.walk(line)}


def arrows() -> set[tuple[str, str]]:
    """Imports from room to room, those inside functions too; imports for types alone are none."""
    known, found = modules(), set()
    for module, path in known.items():
        tree = ast.parse(path.read_text())
        left_out = for_types_alone(tree)
        for node in ast.walk(tree):
            if id(node) in left_out:
                continue
            targets = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gritcodec":
                longer = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [name if name in known else str(node.module) for name in longer]
            elif isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names if alias.name.split(".")[0] == "gritcodec"]
            found |= {(room(module), room(target)) for target in targets if room(module) != room(target)}
    return found


def drawn() -> dict[str, set[str]]:
    """What the page's table says that each room may import."""
    rows = re.findall(r"^\| `([\w/]+)` \|[^|]*\|([^|]*)\|$", PAGE.read_text(), re.MULTILINE)
    return {name.removesuffix("/"): set(re.findall(r"`(\w+)`", allowed)) for name, allowed in rows}


def test_the_page_draws_the_arrows_that_there_are():
    allowed = drawn()
    found = arrows()
    for start, end in sorted(found):
        if end == "gritcodec" or start in ("gritcodec", "__main__"):
            continue
        assert end in allowed[start], f"{start} imports {end}, which docs/ARCHITECTURE.md does not draw"
    unused = {(start, end) for start, ends in allowed.items() for end in ends} - found
    assert not unused, f"drawn, and not there: {sorted(unused)}"


def test_no_room_leads_back_to_itself():
    left = {name: set(ends) for name, ends in drawn().items()}
    while left:
        lowest = {name for name, ends in left.items() if not ends & left.keys()}
        assert lowest, f"a circle among {sorted(left)}"
        left = {name: ends for name, ends in left.items() if name not in lowest}


def test_the_core_imports_no_torch():
    """Every module that is not made of torch can be imported where there is none."""
    core = sorted(name for name in modules() if not name.startswith(WITH_TORCH) or name == "gritcodec.nn.config")
    core = [
        name for name in core if not name.startswith(("gritcodec.demo", "gritcodec.evaluate", "gritcodec.__main__"))
    ]
    code = "import sys, importlib\nsys.modules['torch'] = None\nfor name in sys.argv[1:]: importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", code, *core], check=True)
