"""Recognise retrieved documents: passages with sources, tags or scores."""

import re

from phasewise_store.trie import shared_length

from phasewise_analyzer.diagnosis.spans import likeness, middles

LEAST_CHARACTERS = 120
"""that differ, on the longer side; a shorter stretch is no document"""
MOST_LIKE = 0.8
"""share of words in common above which a text was edited, not exchanged"""
NEAR_CHARACTERS = 300
"""before the difference in which the sign of a document may stand"""

_SIGN = re.compile(
    r"<(?:documents?|docs?|contexts?|passages?|sources?|chunks?|search_results?|retrieved\w*"
    r"|knowledge\w*|excerpts?|results?|snippets?|references?|memor(?:y|ies))\b"
    r"|\[(?:doc(?:ument)?|source|passage|chunk|ref|\^?\d+)[^\]\n]{0,40}\]"
    r"|^#+ *(?:retrieved|relevant|contexts?|documents?|knowledge|sources?|references?|search"
    r"|passages?|kontext|dokumente?|quellen?|contexte|documentos?|fuentes?)\b"
    r"|\b(?:retrieved|relevant|supporting|background) "
    r"(?:documents?|passages?|context|chunks?|excerpts?|articles?|snippets?|information)"
    r"|\b(?:score|similarity|relevance|distance)[\"']?\s*[=:]\s*\d?\.\d+"
    r"|^(?:source|document|passage|excerpt|context|doc|quelle|dokument|kontext|fuente|documento"
    r"|contexte|article|snippet|knowledge|reference|title|titel|url)\b[^\n]{0,40}[:=]"
    r"|文档|资料|参考|検索結果|문서|документ",
    re.IGNORECASE | re.MULTILINE,
)


def are_documents(old: str, new: str) -> bool:
    """Return whether what differs between two texts are looked-up documents."""
    before, after = middles(old, new)
    if max(len(before), len(after)) < LEAST_CHARACTERS or likeness(before, after) > MOST_LIKE:
        return False
    start = shared_length(old, new)
    near = old[max(0, start - NEAR_CHARACTERS) : start]
    inside = (before or after, after or before)
    return _SIGN.search(near) is not None or all(map(_SIGN.search, inside))
