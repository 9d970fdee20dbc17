"""Which backend a checkpointer has, and how it is set up."""

from enum import StrEnum

from attrs import field, frozen

from terzetto_protocol.errors import InvalidRequest

from ..stores._url import discreet


class CheckpointBackend(StrEnum):
    """Where records are kept."""

    MEMORY = "memory"
    REDIS = "redis"
    SQLITE = "sqlite"
    POSTGRES = "postgres"


def _backend(value: "CheckpointBackend | str") -> CheckpointBackend:
    try:
        return CheckpointBackend(value)
    except ValueError:
        known = ", ".join(CheckpointBackend)
        raise InvalidRequest(f"there is no backend {value!r} (known ones: {known})") from None


def _shown(url: str) -> str:
    return repr(discreet(url))


@frozen(kw_only=True)
class CheckpointerConfig:
    """How a checkpointer is set up; a name that is not below is a `TypeError`.

    Raises:
        InvalidRequest: no such backend, a `ttl_seconds` below 1, or a backend without its URL.
    """

    backend: CheckpointBackend = field(default=CheckpointBackend.MEMORY, converter=_backend)
    redis_url: str = field(default="redis://localhost:6379/0", repr=_shown)
    key_prefix: str = "harness:ckpt:"
    """What every key in Redis begins with."""
    ttl_seconds: int | None = None
    """How long a record stays, seconds; for ever if it is None."""
    url: str = field(default="", repr=_shown)
    """Where the file or the database of the other stores is."""

    def __attrs_post_init__(self) -> None:
        """Look at what has to fit together."""
        if self.ttl_seconds is not None and self.ttl_seconds < 1:
            raise InvalidRequest(f"ttl_seconds is at least 1, or None for ever, and not {self.ttl_seconds!r}")
        needs = {CheckpointBackend.SQLITE: "sqlite:", CheckpointBackend.POSTGRES: "postgres"}.get(self.backend)
        if needs and not self.url.startswith(needs):
            example = "sqlite:FILE" if self.backend is CheckpointBackend.SQLITE else "postgresql://HOST/DATABASE"
            raise InvalidRequest(f"the backend {self.backend} takes a url: url={example!r}, and not {_shown(self.url)}")
