"""Whatever Hydra and OmegaConf raise while they compose a config, as one message."""

import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from runner.base.overrides import parse
from runner.base.paths import CONF
from runner.base.text import beginning_of
from runner.errors import RunnerError


def message(error: BaseException) -> str:
    """What the error says, and its cause, where Hydra and OmegaConf say what is wrong."""
    told = [_text(error)]
    if isinstance(error.__cause__, OmegaConfBaseException):
        told.append(_text(error.__cause__))
    lines = [line.rstrip() for text in told for line in text.splitlines()]
    return "\n".join(line for line in lines if line)


def message_with_place(error: BaseException, typed: Sequence[str]) -> str:
    """The message, after what was typed that leads to it unless the error says that itself."""
    text = message(error)
    if isinstance(error, OverrideParseException):
        blamed = [] if error.override in text else [error.override]
    elif isinstance(error, HydraException | RunnerError):
        blamed = []
    else:
        flags = [word for word in typed if "=" not in word]
        if faults := _faults(error, typed):
            return "\n".join(faults)
        blamed = [" ".join(flags)]
    return "\n".join(f"{beginning_of(word)}: {text}" for word in blamed if word) or text


def nameless(override: Override, loader: ConfigLoader) -> str | None:
    """What is wrong with an override that gives a group no name: Hydra has only a traceback."""
    value, group = override.value(), override.key_or_group
    if override.is_delete() or override.is_sweep_override() or isinstance(value, str | dict | list):
        return None
    if not group or not (options := loader.get_group_options(group)):
        return None
    return (
        f"{group}: expected the name of an option ({', '.join(options)}), "
        f"got {override.get_value_string()}"
    )


def _text(error: BaseException) -> str:
    """The error in words; those of Hydra and OmegaConf are written for people."""
    text = str(error).strip()
    if isinstance(error, OverrideParseException) and "LexerNoViableAlt" in text:
        typed = parse(error.override)
        quoted = f"{typed.written_key}='{beginning_of(typed.value)}'"
        return f'{text}\nHydra takes any text in quotes: "{quoted}"'
    if isinstance(error, HydraException | OmegaConfBaseException | RunnerError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _faults(error: BaseException, typed: Sequence[str]) -> list[str]:
    """A message for each of the overrides that raises the same when it is alone."""
    if plugin := _broken_plugin(error):
        return [f"{plugin}: a plugin of Hydra's that cannot be imported: {message(error)}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        culprits = [word for word in typed if "=" in word and _raises(word, error)]
        return [
            _nameless(word, loader) or f"{beginning_of(word)}: {message(error)}"
            for word in culprits
        ]


def _broken_plugin(error: BaseException) -> str:
    """Return the file of a plugin in whose import the error was raised; empty if it was not."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    files += [error.filename] if isinstance(error, SyntaxError) and error.filename else []
    return next((file for file in reversed(files) if PLUGINS in Path(file).parts), "")


PLUGINS = "hydra_plugins"


def _nameless(word: str, loader: ConfigLoader) -> str | None:
    try:
        [override] = OverridesParser.create(config_loader=loader).parse_overrides([word])
    except Exception:  # a number of thousands of digits, say
        return None
    return nameless(override, loader)


def _raises(word: str, error: BaseException) -> bool:
    try:
        compose("config", [word])
    except Exception as alone:
        return type(alone) is type(error) and str(alone) == str(error)
    return False
