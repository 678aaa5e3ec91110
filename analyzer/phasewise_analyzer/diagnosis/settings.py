"""Find a setting that is part of a cache's key and that differs between two requests.

Settings that only affect sampling or the end of the output (temperature, top_p, max_tokens, stop,
seed, stream, user, metadata) are in no cache key. Only the settings listed here are compared.
"""

import re
from collections.abc import Mapping

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.request_settings import stated

_CONCERNS: Mapping[Cause, frozenset[str]] = {
    causes.THINKING_CHANGED: frozenset(
        {
            *("thinking", "effort", "reasoningeffort", "reasoning", "thinkingconfig", "verbosity"),
            *("thinkingbudget", "thinkinglevel", "enablethinking", "reasoninglevel"),
            *("includethoughts", "maxthinkingtokens"),
        }
    ),
    causes.TOOL_CHOICE: frozenset(
        {
            *("toolchoice", "toolconfig", "functioncallingconfig", "paralleltoolcalls"),
            *("disableparalleltooluse", "functioncall", "allowedtools"),
        }
    ),
    causes.SERVICE_TIER: frozenset({"servicetier", "speed", "fast", "fastmode", "inferencegeo"}),
    causes.RESPONSE_FORMAT: frozenset(
        {
            *("responseformat", "outputformat", "responseschema", "responsemimetype", "format"),
            *("responsejsonschema", "jsonschema", "guidedjson", "structuredoutputs"),
        }
    ),
    causes.BETA_HEADERS: frozenset(
        {"betas", "anthropicbeta", "openaibeta", "beta", "contextmanagement"}
    ),
    causes.CACHE_KEY: frozenset({"promptcachekey", "cachesalt"}),
}
"""names without case, `_`, `-` and `.`"""
_DATED = re.compile(r"(?:[-@:]?(?:\d{4}-\d{2}-\d{2}|\d{8})|[-:]latest)$")


def settings_changed(
    old_request: Mapping[str, object],
    new_request: Mapping[str, object],
    old_model: str | None,
    new_model: str | None,
) -> Cause | None:
    """Return the first setting that differs, the weightiest first; None where none does.

    A model or setting that one of the sources does not say is only compared where both say it.
    """
    if old_model and new_model and _model(old_model) != _model(new_model):
        return causes.MODEL
    olds, news = _settings(old_request), _settings(new_request)
    if not old_request or not new_request:
        return None
    for cause in _CONCERNS:
        if olds.get(cause) != news.get(cause):
            return cause
    return None


def _model(name: str) -> str:
    """Return a model's name without the provider in front and the date behind."""
    return _DATED.sub("", name.lower().rpartition("/")[2])


def _settings(request: Mapping[str, object]) -> dict[Cause, dict[str, str]]:
    found: dict[Cause, dict[str, str]] = {}
    for name, written in stated(request):
        for cause, names in _CONCERNS.items():
            if name in names:
                found.setdefault(cause, {})[name] = written
    return found
