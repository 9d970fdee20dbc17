"""Tokens are taken from one header, compared in constant time, and shown to nobody."""

import hmac

import pytest

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.tokens import Token, Tokens

ANN = Token("a" * 16, who="ann")
BOB = Token("b" * 43, scopes=["read"], who="bob")
TOKENS = Tokens([ANN, BOB])


def test_a_token_says_whose_it_is_and_what_it_may_do():
    assert ANN is TOKENS.holder([f"Bearer {ANN.secret}"])
    assert BOB is TOKENS.holder([f"bearer  {BOB.secret}"])
    assert {"read", "decide", "control"} == ANN.scopes
    assert {"read"} == BOB.scopes


@pytest.mark.parametrize(
    "said",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        [ANN.secret],
        [f"Basic {ANN.secret}"],
        [f"Bearer {ANN.secret}x"],
        [f"Bearer {ANN.secret[:-1]}"],
        [f"Bearer {ANN.secret} {BOB.secret}"],
        [f"Bearer {ANN.secret}\n"],
        [f"Bearer {ANN.secret}", f"Bearer {ANN.secret}"],
        [f"Bearer {ANN.secret.upper()}"],
        ["Bearer ''"],
    ],
)
def test_whoever_says_something_else_is_nobody(said):
    assert TOKENS.holder(said) is None


def test_without_tokens_nobody_is_known():
    assert Tokens().holder(["Bearer "]) is None
    assert 0 == len(Tokens())


def test_every_token_is_compared_whichever_it_is(monkeypatch):
    """A comparison that ends early, or leaves tokens out, would tell how near one is by how long it takes."""
    compared = []

    def compare(one, other):
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for said in ([f"Bearer {ANN.secret}"], ["Bearer x"], ["nothing"], []):
        TOKENS.holder(said)

    assert [(32, 32)] * 8 == compared


def test_a_token_is_in_no_text():
    assert ANN.secret not in f"{ANN!r} {ANN} {TOKENS!r} {vars(TOKENS)}"
    assert "ann" in repr(ANN)


@pytest.mark.parametrize("secret", ["", "short", "a" * 15, "with space in the middle", "ünterschrift-ünter", 17])
def test_a_token_that_is_none_is_refused_without_being_said(secret):
    with pytest.raises(InvalidRequest) as caught:
        Token(secret, who="ann")

    assert not secret or str(secret) not in str(caught.value)


def test_scopes_are_known_ones():
    for scopes in ([], ["write"], ["read", "all"]):
        with pytest.raises(InvalidRequest, match="scopes are some of"):
            Token("a" * 16, scopes=scopes)
    with pytest.raises(InvalidRequest, match="whose a token is"):
        Token("a" * 16, who="a\nb")


def test_two_of_one_text_are_refused():
    with pytest.raises(InvalidRequest, match="two tokens"):
        Tokens([ANN, Token(ANN.secret, who="eve")])
