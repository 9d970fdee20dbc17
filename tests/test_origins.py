"""Hosts and origins are compared whole: no prefix, suffix, port or scheme of one is another."""

import pytest

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.origins import (
    checked_hosts,
    checked_origins,
    host_allowed,
    host_of,
    is_loopback,
    origin_allowed,
    origin_of,
    own_hosts,
)

OWN = own_hosts("127.0.0.1", 8080, "http")
PAGES = checked_origins(["https://runs.example.com", "http://127.0.0.1:8080"])

STRANGE_HOSTS = [
    "evil.example",
    "evil.example:8080",
    "127.0.0.1",
    "127.0.0.1:8081",
    "127.0.0.1:80",
    "127.0.0.1:8080.evil.example",
    "127.0.0.1.evil.example:8080",
    "evil-localhost:8080",
    "localhost.:8080",
    "localhost.evil.example:8080",
    "xlocalhost:8080",
    "localhost:08080",
    "localhost:8080:8080",
    "user@localhost:8080",
    "localhost:8080/",
    "localhost:8080,evil.example",
    " localhost:8080",
    "localhost:8080\n",
    "127.1:8080",
    "2130706433:8080",
    "[::ffff:127.0.0.1]:8080",
    "[::1%lo]:8080",
    "localhost:٨٠٨٠",
    "*",
    "",
    ":8080",
    "null",
]
STRANGE_ORIGINS = [
    "null",
    "NULL",
    "",
    "*",
    "http://runs.example.com",
    "https://runs.example.com:8443",
    "https://runs.example.com.evil.example",
    "https://evil-runs.example.com",
    "https://evil.example/https://runs.example.com",
    "https://runs.example.com@evil.example",
    "https://runs.example.co",
    "https://xruns.example.com",
    "https://runs.example.com/",
    "https://runs.example.com https://evil.example",
    "https://runs.example.com, https://evil.example",
    "https:/runs.example.com",
    "ftp://runs.example.com",
    "file://",
    "chrome-extension://runs.example.com",
    "https://127.0.0.1:8080",
    "http://127.0.0.1:8081",
    "http://127.0.0.1",
    "http://[::1]:8080",
    "http://localhost:8080.evil.example",
]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_strange_host_is_refused(host):
    assert not host_allowed([host], OWN, "http")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080"])
def test_a_server_on_loopback_is_called_by_its_names(host):
    assert host_allowed([host], OWN, "http")


@pytest.mark.parametrize("hosts", [[], ["localhost:8080", "localhost:8080"], ["localhost:8080", "evil.example"]])
def test_there_is_exactly_one_host(hosts):
    assert not host_allowed(hosts, OWN, "http")


@pytest.mark.parametrize("origin", STRANGE_ORIGINS)
def test_a_strange_origin_is_refused(origin):
    assert not origin_allowed([origin], PAGES)


@pytest.mark.parametrize(
    "origin", ["https://runs.example.com", "https://RUNS.example.com:443", "http://127.0.0.1:8080"]
)
def test_a_listed_origin_is_allowed(origin):
    assert origin_allowed([origin], PAGES)


def test_whoever_says_no_origin_is_no_page_and_two_are_none():
    assert origin_allowed([], PAGES)
    assert not origin_allowed(["https://runs.example.com"] * 2, PAGES)


def test_the_port_that_a_scheme_has_anyway_is_left_out():
    assert ["a.example", "a.example:443", "a.example:443", "a.example"] == [
        host_of("a.example:80", "http"), host_of("a.example:443", "http"),
        host_of("a.example:443", ""), host_of("a.example:443", "https"),
    ]  # fmt: skip
    assert {"[::1]", "localhost", "127.0.0.1"} == own_hosts("::1", 443, "https")


def test_a_server_elsewhere_is_called_by_its_address_only():
    assert {"10.0.0.7:8443"} == own_hosts("10.0.0.7", 8443, "https")
    assert {"[2001:db8::1]:8443"} == own_hosts("2001:db8::1", 8443, "https")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "::ffff:10.0.0.7", "localhost", "", "127.0.0.1.x"])
def test_not_loopback(address):
    assert not is_loopback(address)


@pytest.mark.parametrize("host", ["*", "*.example.com", "https://a.example", "a.example/", "", "a b"])
def test_what_a_user_allows_is_a_host_and_no_pattern(host):
    with pytest.raises(InvalidRequest, match="is no host"):
        checked_hosts(["ok.example", host])


@pytest.mark.parametrize("origin", ["*", "null", "https://*.example.com", "a.example", "https://a.example/"])
def test_what_a_user_allows_is_an_origin_and_no_pattern(origin):
    with pytest.raises(InvalidRequest, match="is no origin"):
        checked_origins(["https://ok.example", origin])


def test_origins_are_compared_in_small_letters():
    assert "https://a.example:8443" == origin_of("HTTPS://A.Example:8443")
    assert {"a.example:8443"} == checked_hosts(["A.example:8443"])
