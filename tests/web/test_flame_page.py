"""The flame graph's page: its facts, its picture, and that every frame opens a page."""

import re
from collections.abc import Sequence
from html import unescape
from itertools import pairwise

import pytest
from fastapi.testclient import TestClient
from phasewise_analyzer import rollups
from phasewise_analyzer.flame import graph
from phasewise_reports.flame_chart import GAP, WIDTH, FlameChart, flame_chart, where, wording
from phasewise_reports.templating import style
from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Session, Source, Usage
from phasewise_store.scope import Scope
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from phasewise_web.pages.address import sources

from tests.web.client import client as pages_of
from tests.web.conftest import HOSTILE

PATH = "/prefixes/flame"


def chart(store: Store, source: str, **asked: str) -> FlameChart:
    """Place the frames of one data set."""
    found = graph.find(store, Scope(source=source), **asked)  # type: ignore[arg-type]  # str fields
    made = flame_chart(found, lambda address: f"?node={address}")
    assert made is not None
    return made


def write(store: Store, prompts: Sequence[tuple[Segment, ...]]) -> None:
    """Write one call a prompt."""
    source = Source("ab" * 32, "made", "made", "made.jsonl")
    calls = tuple(
        LlmCall(f"c{n}", "s", "a", n, Usage(sum(part.tokens for part in prompt)), prompt=prompt)
        for n, prompt in enumerate(prompts)
    )
    store.write(Batch(source, (Session("s"),), (Agent("a", "s", "a"),), calls))


def test_the_page_and_its_twin_say_the_roll_up_s_total(client: TestClient, seen: Store) -> None:
    """For every data set and measure: 200, and the topmost frame is what the roll-up sums."""
    for source in sources(seen):
        whole = rollups.totals(seen, Scope(source=source))
        for width in ("sent", "missed", "usd"):
            query = {"source": source, "width": width}
            assert client.get(PATH, params=query).status_code == 200
            twin = client.get(f"{PATH}.json", params=query).json()
            top = twin["found"]["frames"][0]["below"]
            assert top["sent_tokens"] == whole.input_tokens
            assert top["missed_tokens"] == whole.missed_tokens
            assert twin["measure"] == width


def test_every_frame_opens_a_page_with_it_on_top(client: TestClient) -> None:
    """A frame's link is the same page; there its facts are the topmost's, and a way leads back."""
    query = {"source": "tau2-bench"}
    page = client.get(PATH, params=query).text
    twin = client.get(f"{PATH}.json", params=query).json()
    frames = {one["address"]: one for one in twin["found"]["frames"] if one["kind"] == "stretch"}
    assert len(frames) > 5
    links = [unescape(link) for link in re.findall(r'href="([^"]+node=[^"]+)"', page)]
    assert set(frames) <= {link.partition("node=")[2] for link in links}
    for address, frame in list(frames.items())[:6]:
        opened = client.get(f"{PATH}.json", params={**query, "node": address}).json()["found"]
        assert opened["frames"][0]["below"] == frame["below"]
        assert opened["frames"][0]["parent"] == -1
        assert opened["above"][0]["kind"] == "all"
        assert f'<a href="{PATH}?source=tau2-bench"><g class="above">' in (
            client.get(PATH, params={**query, "node": address}).text
        )


def test_measure_and_scope_are_kept_while_opening(client: TestClient) -> None:
    """A link of a page about one agent, in dollars, is about that agent, in dollars."""
    agent = client.get("/agents.json?source=tau2-bench").json()["rows"][0]["agent"]
    query = {"source": "tau2-bench", "width": "missed", "agent": agent}
    answer = client.get(PATH, params=query)
    found = client.get(f"{PATH}.json", params=query).json()["found"]
    assert {name for one in found["frames"] for name in one["agents"]} == {agent}
    links = [unescape(link) for link in re.findall(r'href="([^"]+node=[^"]+)"', answer.text)]
    assert links
    assert all(f"agent={agent}" in link and "width=missed" in link for link in links)
    assert f'href="{PATH}?source=tau2-bench&amp;width=missed">all</a>' in answer.text


@pytest.mark.parametrize("measure", ["sent", "missed"])
def test_frames_lie_inside_the_frame_above_and_never_overlap(seen: Store, measure: str) -> None:
    """Frames follow each other in every row, under their parent up to a gap; so do colours."""
    made = chart(seen, "tau2-bench", measure=measure)
    rows: dict[float, list[tuple[float, float]]] = {}
    for bar in made.bars:
        rows.setdefault(bar.y, []).append((bar.x, bar.x + bar.width))
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH
        assert bar.y + made.row <= made.height
        for left, right in pairwise(bar.fills):
            assert left.x + left.width == pytest.approx(right.x, abs=0.5)
        for fill in bar.fills:
            assert bar.x - 0.02 <= fill.x
            assert fill.x + fill.width <= bar.x + bar.width + 0.02
    for y, row in rows.items():
        for (_, end), (start, _) in pairwise(sorted(row)):
            assert end <= start + 0.02
        if y:
            above = rows[y - 22]
            for start, end in row:
                assert any(low - 0.02 <= start and end <= high + GAP for low, high in above)


def test_colours_split_a_frame_as_its_tokens_are(seen: Store) -> None:
    """The topmost's cached and sent again parts are as wide as their share of the tokens sent."""
    whole = rollups.totals(seen, Scope(source="tau2-bench"))
    fills = {fill.colour: fill.width for fill in chart(seen, "tau2-bench").bars[0].fills}
    for colour, part in (("c", whole.cache_read_tokens), ("p", whole.missed_tokens)):
        expected = part / whole.input_tokens * (WIDTH - 1)
        assert fills.get(colour, 0) == pytest.approx(expected, abs=0.5)


def test_a_label_fits_its_frame(seen: Store) -> None:
    """No label has more letters than its frame has room for; the wide frames have one."""
    for bar in chart(seen, "tau2-bench").bars:
        assert len(bar.label) * 6 <= bar.width
        assert bar.label or bar.width < 100


def test_a_label_begins_with_a_whole_word(store: Store) -> None:
    """Texts that part inside a word are labelled from the word's start, spaces kept."""
    lead = "Write the day of the week and nothing else, in one short line of words. "
    ends = [f"Today is {day}{', all day long' * 20}" for day in ("Tuesday", "Thursday")]
    write(store, [(text_segment("message", lead + end, "user"),) for end in ends])
    labels = [bar.label for bar in chart(store, "made").bars]
    assert [label for label in labels if label.startswith("Tuesday, all day")]
    assert [label for label in labels if label.startswith("Thursday, all day")]


def test_a_label_keeps_the_space_between_words(store: Store) -> None:
    """Texts that part behind a word are labelled with it and the space."""
    lead = "Write the day of the week and nothing else, in one short line of words. Hi"
    ends = [f"{more}{', all day long' * 20}" for more in (" there", ", you")]
    write(store, [(text_segment("message", lead + end, "user"),) for end in ends])
    labels = [bar.label for bar in chart(store, "made").bars]
    assert [label for label in labels if label.startswith("Hi there, all day")]
    assert [label for label in labels if label.startswith("Hi, you, all day")]


def test_the_way_to_a_deep_frame_is_cut_in_the_middle(store: Store) -> None:
    """Above the topmost frame stand all prompts and the last three, and how many lie between."""
    letters = [text_segment("message", f"{n} " * 40, "user") for n in range(12)]
    others = [text_segment("message", f"x{n} " * 40, "user") for n in range(12)]
    prompts = [(*letters[:n], others[n]) for n in range(1, 12)]
    write(store, prompts)
    deepest = max(graph.find(store).frames, key=lambda frame: frame.level)
    made = chart(store, "made", address=deepest.address)
    above = [bar for bar in made.bars if bar.kind == "above"]
    assert len(above) == 4
    assert above[0].label == f"↑ all prompts   ({deepest.level - 4} between)"
    assert made.bars[4].y == above[-1].y + 22


def test_a_measure_without_width_has_no_picture(client: TestClient) -> None:
    """Where no model has a price, the page says so and leads to the tokens."""
    for source in client.get("/agents.json").json()["sources"]:
        query = {"source": source, "width": "usd"}
        twin = client.get(f"{PATH}.json", params=query).json()
        if not twin["found"]["frames"][0]["below"]["missed_usd"]:
            page = client.get(PATH, params=query).text
            assert "Nothing to show in this measure" in page
            assert twin["chart"] is None
            return
    pytest.fail("every sample has a sent again price")


def test_hostile_text_stays_text(client: TestClient) -> None:
    """A prompt and an agent that want to be markup, in labels, titles and the table."""
    page = client.get(PATH, params={"source": "live"})
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script" not in client.get(PATH, params={"source": HOSTILE, "node": HOSTILE}).text


def test_prefixes_leads_here_and_an_empty_store_says_the_command(
    client: TestClient, store: Store
) -> None:
    """The Prefixes page links to the picture of its data set; without calls, the one command."""
    assert f'href="{PATH}?source=tau2-bench"' in client.get("/prefixes?source=tau2-bench").text
    empty = pages_of(store).get(PATH)
    assert empty.status_code == 200
    assert "<code>phasewise import PATH</code>" in empty.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"role":"user","content":"Hi\\nthere"}', "Hi there"),
        ('{"role":"user","content":[{"type":"text","text":"say \\"so\\""}]}', 'say "so"'),
        ('tent":"# Policy', "# Policy"),
        ("plain: words", "plain: words"),
    ],
)
def test_labels_are_a_message_s_words(text: str, words: str) -> None:
    """The JSON around a message is left out; its escapes are undone."""
    assert wording(text) == words


def test_a_place_is_said_in_words(seen: Store) -> None:
    """Blocks by their numbers, messages by role and number."""
    hashed = graph.find(seen, Scope(source="kv-cache-tester")).widest
    assert all(re.fullmatch(r"blocks? [\d,]+( to [\d,]+)?", where(one)) for one in hashed)
    spoken = graph.find(seen, Scope(source="tau2-bench")).widest
    assert any(re.search(r"(system|message) \d+", where(one)) for one in spoken)


def test_the_colours_of_frames_win_over_their_background() -> None:
    """A frame's base rule has no more weight than one class, so `.flame .c` colours its parts."""
    base = re.search(r"^\.flame rect(.*?) \{ fill: var\(--paper\)", style(), re.MULTILINE)
    assert base is not None
    assert re.sub(r":where\(.*\)", "", base[1]) == ""
