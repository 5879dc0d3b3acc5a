"""LibreTranslate's protocol, asked over HTTP as its clients ask."""

from __future__ import annotations

from typing import Any

import pytest

import seq2seq
from tests.serving.conftest import TRANSLATOR, ServerProcess, Start

httpx = pytest.importorskip("httpx")

TEXT = {"q": "ba ko mi", "source": "en", "target": "de"}
AUTO = {**TEXT, "source": "auto"}
SURE = {"confidence": 100.0, "language": "en"}


def ask(server: ServerProcess, path: str = "/translate", method: str = "POST", **content: Any) -> Any:
    """An answer, whose body is always JSON."""
    answer = httpx.request(method, server.url + path, timeout=30, **content)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer


ANSWERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (TEXT, {"translatedText": "BA KO MI"}),
    ({**TEXT, "q": ["ba ko mi", "so"]}, {"translatedText": ["BA KO MI", "SO"]}),
    ({**TEXT, "q": [" \n"]}, {"translatedText": [" \n"]}),
    ({**TEXT, "q": "so.\n\n  ne ne"}, {"translatedText": "SO\n\n  NE NE"}),
    (AUTO, {"translatedText": "BA KO MI", "detectedLanguage": SURE}),
    ({**AUTO, "q": ["so", "so"]}, {"translatedText": ["SO", "SO"], "detectedLanguage": [SURE, SURE]}),
    ({**TEXT, "format": "text", "alternatives": 0, "api_key": "any"}, {"translatedText": "BA KO MI"}),
    ({**TEXT, "format": "", "alternatives": ""}, {"translatedText": "BA KO MI"}),
    (
        {**TEXT, "q": "<p>ba <b>ko mi</b> </p><!-- so --><code>so</code>", "format": "html"},
        {"translatedText": "<p>BA <b>KO MI</b> </p><!-- so --><code>so</code>"},
    ),
]


@pytest.mark.parametrize(("given", "expected"), ANSWERS)
def test_answers_in_json(server: ServerProcess, given: dict[str, Any], expected: dict[str, Any]) -> None:
    answer = ask(server, json=given)
    assert (answer.status_code, answer.json()) == (200, expected)


def test_takes_forms_of_both_kinds(server: ServerProcess) -> None:
    assert ask(server, data=TEXT).json() == {"translatedText": "BA KO MI"}
    several = {**TEXT, "q": ["ba ko mi", "so"]}
    assert ask(server, data=several).json() == {"translatedText": ["BA KO MI", "SO"]}
    parts = [(name, (None, value)) for name, value in TEXT.items()]
    assert ask(server, files=parts).json() == {"translatedText": "BA KO MI"}
    assert ask(server, data={**TEXT, "q": "so\r\nso"}).json() == {"translatedText": "SO\nSO"}
    assert ask(server, data={**TEXT, "q": "so\u2028so\r\n"}).json()["translatedText"].endswith("SO\n")
    plain = "q=<code>läuft</code>&source=en&target=de&format=html".encode()  # as curl -d sends it
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ask(server, content=plain, headers=form).json() == {"translatedText": "<code>läuft</code>"}


@pytest.mark.parametrize("q", ["ba ko mi", ["ba ko mi", "so", "lu te so ra ne. so"]])
def test_alternatives_are_others(server: ServerProcess, q: Any) -> None:
    answer = ask(server, json={**TEXT, "q": q, "alternatives": 3}).json()
    assert set(answer) == {"translatedText", "alternatives"}
    pairs = (
        [(answer["translatedText"], answer["alternatives"])]
        if isinstance(q, str)
        else list(zip(answer["translatedText"], answer["alternatives"], strict=True))
    )
    for text, others in pairs:
        assert 1 <= len(others) <= 3
        assert len({text, *others}) == 1 + len(others)


def test_the_best_is_the_same_with_and_without_alternatives(server: ServerProcess) -> None:
    words = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]
    texts = [" ".join(words[first : first + size]) for first in range(5) for size in range(1, 4)]
    alone = ask(server, json={**TEXT, "q": texts}).json()["translatedText"]
    assert ask(server, json={**TEXT, "q": texts, "alternatives": 4}).json()["translatedText"] == alone
    assert alone == seq2seq.load(TRANSLATOR).translate(texts)


REFUSED: dict[str, Any] = {
    "no q": {"source": "en", "target": "de"},
    "q empty": {**TEXT, "q": ""},
    "q an empty array": {**TEXT, "q": []},
    "q a number": {**TEXT, "q": 3},
    "q a boolean": {**TEXT, "q": True},
    "q an object": {**TEXT, "q": {"a": "b"}},
    "q nested": {**TEXT, "q": [["ba"]]},
    "q mixed": {**TEXT, "q": ["ba", 3]},
    "q null in an array": {**TEXT, "q": ["ba", None]},
    "no source": {"q": "ba", "target": "de"},
    "no target": {"q": "ba", "source": "en"},
    "source a number": {**TEXT, "source": 1},
    "source an array": {**TEXT, "source": ["en"]},
    "source not served": {**TEXT, "source": "fr"},
    "target not served": {**TEXT, "target": "fr"},
    "pair not served": {**TEXT, "source": "de", "target": "en"},
    "auto to a source": {**TEXT, "source": "auto", "target": "en"},
    "format unknown": {**TEXT, "format": "markdown"},
    "format a number": {**TEXT, "format": 1},
    "alternatives a word": {**TEXT, "alternatives": "three"},
    "alternatives negative": {**TEXT, "alternatives": -1},
    "alternatives a fraction": {**TEXT, "alternatives": 1.5},
    "alternatives a boolean": {**TEXT, "alternatives": True},
    "alternatives an array": {**TEXT, "alternatives": [1]},
    "alternatives too many": {**TEXT, "alternatives": 11},
    "too many texts": {**TEXT, "q": ["ba"] * 1001},
    "too many characters": {**TEXT, "q": "ba " * 7000},
    "key a number": {**TEXT, "alternatives": {}},
    "an array": [TEXT],
    "a string": "ba",
    "null": None,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_gets_400(server: ServerProcess, case: str) -> None:
    answer = ask(server, json=REFUSED[case])
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe\x00", b'{"q": 1e}', b"[" * 100_000, b'{"q": ' + b"1" * 5000 + b"}", b'{"q":"\\ud8"}'],
)
def test_broken_json_gets_400(server: ServerProcess, body: bytes) -> None:
    answer = ask(server, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_half_characters_are_replaced(server: ServerProcess) -> None:
    body = b'{"q":"so \\ud83d so","source":"en","target":"de"}'
    assert ask(server, content=body, headers={"content-type": "application/json"}).status_code == 200


def test_other_methods_and_paths(server: ServerProcess) -> None:
    for path in ("/translate", "/detect", "/v1/translate", "/v1/predict"):
        assert ask(server, path, "PUT", json=TEXT).status_code == 405
        assert ask(server, path, "GET").json() == {"error": "Method Not Allowed"}
    assert ask(server, "/languages", "POST").status_code == 405
    for path in ("/nothing", "/page/../server.py", "/page/%2e%2e/server.py", "/page//etc/passwd"):
        assert ask(server, path, "GET").json() == {"error": "Not Found"}


def test_languages_health_detect_settings(server: ServerProcess) -> None:
    assert ask(server, "/languages", "GET").json() == [
        {"code": "en", "name": "English", "targets": ["de"]},
        {"code": "de", "name": "German", "targets": []},
    ]
    assert ask(server, "/health", "GET").json() == {"status": "ok"}
    english, german = "The weather is nice today.", "Das Wetter ist heute schön."
    for text, code in ((english, "en"), (german, "de")):
        for content in ({"json": {"q": text}}, {"data": {"q": text}}):
            found = ask(server, "/detect", **content).json()
            assert found[0]["language"] == code
            assert all(0 <= each["confidence"] <= 100 for each in found)
    assert ask(server, "/detect", json={"q": 3}).status_code == 400
    assert ask(server, "/frontend/settings", "GET").json()["keyRequired"] is False


def test_scripts_of_other_pages_may_ask(server: ServerProcess) -> None:
    answer = ask(server, json=TEXT, headers={"Origin": "https://example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    before = httpx.options(
        server.url + "/translate", headers={**asked, "Access-Control-Request-Headers": "content-type"}
    )
    assert before.status_code == 200
    assert "POST" in before.headers["access-control-allow-methods"]


def test_the_description_names_every_route(server: ServerProcess) -> None:
    described = ask(server, "/spec", "GET").json()
    assert described["openapi"].startswith("3.")
    for path, operations in described["paths"].items():
        for method in operations:
            assert httpx.request(method, server.url + path).status_code in (200, 400)


def test_figures(server: ServerProcess) -> None:
    ask(server, json=TEXT)
    text = httpx.get(server.url + "/metrics").text
    assert 'seq2seq_requests_total{path="/translate",status="200"}' in text
    assert 'seq2seq_inputs_total{model="en-de"}' in text
    assert 'seq2seq_waiting{model="en-de"} 0.0' in text


def test_libretranslates_own_client(server: ServerProcess) -> None:
    client = pytest.importorskip("libretranslatepy").LibreTranslateAPI(server.url)
    assert client.translate("ba ko mi", "en", "de") == "BA KO MI"
    assert client.translate("ba ko mi\nso", "auto", "de") == "BA KO MI\nSO"
    assert client.languages()[0]["code"] == "en"
    assert client.detect("The weather is nice today.")[0]["language"] == "en"


def test_limits_keys_and_aliases(start: Start, tmp_path) -> None:  # type: ignore[no-untyped-def]
    keys = tmp_path / "keys"
    keys.write_text("secret one\n\nother\n")
    options = ("--api-keys", keys, "--alias", "eng=en", "--body-mb", "0.5", "--characters", "100", "--items", "3")
    server = start(TRANSLATOR, *options, "--requests-per-minute", "12", "--origin", "https://example.org")
    keyed = {**TEXT, "api_key": "other"}
    assert ask(server, json=TEXT).status_code == 403
    assert ask(server, json={**TEXT, "api_key": "wrong"}).json() == {"error": "Invalid API key"}
    assert ask(server, json={**keyed, "api_key": 3}).status_code == 400
    assert ask(server, data={**keyed, "source": "eng"}).json() == {"translatedText": "BA KO MI"}
    assert ask(server, json=keyed).json() == {"translatedText": "BA KO MI"}
    assert ask(server, json={**keyed, "q": "ba" * 51}).status_code == 400
    assert ask(server, json={**keyed, "q": ["ba"] * 4}).status_code == 400
    assert ask(server, json={**keyed, "q": "ba" * 100_000}).status_code == 413
    codes = [(each["code"], each["name"], each["targets"]) for each in ask(server, "/languages", "GET").json()]
    assert codes == [("eng", "English", ["de"]), ("de", "German", [])]
    other = ask(server, "/health", "GET", headers={"Origin": "https://elsewhere.org"})
    assert "access-control-allow-origin" not in other.headers
    answers = [ask(server, json=keyed) for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
