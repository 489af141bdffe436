"""What is used of Hydra's inside is there and does what it is used for; else there is advice."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from runner.base.paths import CONF
from runner.config import hydra_inside

HOMES = {"hydra": "hydra_inside.py", "torch": "hooked.py"}
ROOT = Path(__file__).resolve().parents[2]


def test_values_are_set_with_the_checks_of_composing():
    config = OmegaConf.create({"lr": 0.1, "model": {"w": 1}})
    OmegaConf.set_struct(config, True)
    parse = OverridesParser.create().parse_overrides
    hydra_inside.apply(parse(["lr=2", "model.w=[1,2]"]), config)
    assert config == {"lr": 2, "model": {"w": [1, 2]}}
    with pytest.raises(Exception, match="Could not override 'no'"):
        hydra_inside.apply(parse(["no=2"]), config)


def test_singletons_and_resolvers_are_as_they_were():
    from hydra.core.singleton import Singleton

    class One(metaclass=Singleton):
        pass

    own = One()
    with hydra_inside.kept(One):
        assert One() is not own
        OmegaConf.register_new_resolver("runner.gone", lambda: 1)
    assert One() is own
    assert not OmegaConf.has_resolver("runner.gone")


def test_a_loader_finds_what_is_shipped():
    loader = hydra_inside.loader(hydra_inside.search_path(str(CONF)))
    assert "adam" in loader.get_group_options("optimizer", results_filter=None)


def test_another_hydra_is_refused_with_advice():
    """Not with a traceback about a module that nobody knows."""
    program = (
        "from hydra._internal.config_loader_impl import ConfigLoaderImpl\n"
        "del ConfigLoaderImpl._apply_overrides_to_config\n"
        "import runner.config.hydra_inside"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: hydra-core 1.")
    assert "pip install 'hydra-core>=1.3.2,<1.4'" in last


@pytest.mark.parametrize(
    ("library", "home"), [("hydra", "hydra_inside.py"), ("torch", "hooked.py")]
)
def test_private_names_of_a_library_stand_in_one_file(library, home):
    """Modules that begin with an underscore."""
    for path in [*ROOT.glob("runner/**/*.py"), *ROOT.glob("hydra_plugins/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [module or ""]
            for name in names:
                if name.startswith(f"{library}.") and "._" in name:
                    assert path.name == home, (path, name)
