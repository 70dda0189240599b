"""An ordinary ccxt exchange that trades through the vault, and holds no secret.

    exchange = countersign.ccxt.connect("binance", "bot", "binance-main")
    exchange.create_order("BTC/USDT", "limit", "buy", 0.001, 50_000)

Every request goes to the vault's HTTPS proxy with the bot's certificate and placeholders where key and
signature would be. Refusals of the vault are raised as what a ccxt bot expects and as what this package
calls them: :class:`Denied` is a ``ccxt.ExchangeError`` and a :class:`countersign.Denied`.

Streams of ``ccxt.pro`` go through the vault as well, private ones too; public ones need the class
``public``. With ``streams="direct"`` all of them go past it, straight to the venue: public ones work then
without it, private ones need a signature and do not.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal
from urllib.parse import quote

import ccxt
from requests.adapters import HTTPAdapter

from countersign import errors
from countersign._keeper import Keeper
from countersign.profile import IdentityLike, identity_of

#: What stands before the name of a credential, where the API key belongs.
PLACEHOLDER = "countersign:"
#: In every answer of a venue that the vault passes on, and in none of its own.
FROM_VENUE = "countersign-latency-us"

# No keys of anybody's (the private number is 32 bytes of 1): ccxt signs with them before it sends, and
# the vault takes the signature off.
_BASE64 = "Y291bnRlcnNpZ24gcGxhY2Vob2xkZXIsIG5vdCBhIHNlY3JldA=="
_P256 = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAoGCCqGSM49
AwEHoUQDQgAEb/A7lJJBzh2t1DUZ5pYOCoW0GmmgXDKBA6orzhWUyhY8T3U6Vb8B
3FP2wLDH7ueLQMb/fSWpbiKCuYnO9xwUSg==
-----END EC PRIVATE KEY-----
"""
#: Secrets of the shape that an exchange's class insists on; elsewhere any text will do.
SECRETS = {"coinbase": _P256, "coinbaseexchange": _BASE64, "kraken": _BASE64, "krakenfutures": _BASE64}
#: What ccxt calls the parts of a credential: the vault has them, so a bot gives none.
KEYS = ("apiKey", "login", "password", "privateKey", "secret", "token", "twofa", "uid", "walletAddress")
#: Other ways to set a proxy, which would count twice.
PROXIES = (
    "aiohttp_proxy",
    "proxies",
    "proxy",
    *(
        stem + call
        for stem in ("proxyUrl", "httpProxy", "httpsProxy", "socksProxy")
        for call in ("", "Callback")
    ),
    *(
        stem + call
        for stem in ("proxy_url", "http_proxy", "https_proxy", "socks_proxy")
        for call in ("", "_callback")
    ),
)


class Refused(errors.Refused, ccxt.ExchangeError):
    """Any other refusal."""


class BadRequest(Refused, errors.BadRequest):
    """As :class:`countersign.BadRequest`, and a ``ccxt.ExchangeError``."""


class Conflict(Refused, errors.Conflict):
    """As :class:`countersign.Conflict`, and a ``ccxt.ExchangeError``."""


class Denied(Refused, errors.Denied):
    """As :class:`countersign.Denied`, and a ``ccxt.ExchangeError``: bots do not try again."""


class NotFound(Refused, errors.NotFound):
    """As :class:`countersign.NotFound`, and a ``ccxt.ExchangeError``."""


class Unauthenticated(Refused, errors.Unauthenticated):
    """As :class:`countersign.Unauthenticated`, and a ``ccxt.ExchangeError``."""


class Exhausted(errors.Exhausted, ccxt.ExchangeNotAvailable):
    """As :class:`countersign.Exhausted`, and a ``ccxt.ExchangeNotAvailable``: bots try again later."""


class NotSent(errors.NotSent, ccxt.ExchangeNotAvailable):
    """As :class:`countersign.NotSent`, and a ``ccxt.ExchangeNotAvailable``: bots try again later."""


class Sealed(errors.Sealed, ccxt.ExchangeNotAvailable):
    """As :class:`countersign.Sealed`, and a ``ccxt.ExchangeNotAvailable``: bots try again later."""


class DeadlineExceeded(errors.DeadlineExceeded, ccxt.RequestTimeout):
    """As :class:`countersign.DeadlineExceeded`, and a ``ccxt.RequestTimeout``: the order may exist."""


class Internal(errors.Internal, ccxt.RequestTimeout):
    """As :class:`countersign.Internal`, and a ``ccxt.RequestTimeout``: the order may exist."""


class OutcomeUnknown(errors.OutcomeUnknown, ccxt.RequestTimeout):
    """As :class:`countersign.OutcomeUnknown`, and a ``ccxt.RequestTimeout``: the order may exist."""


class Unavailable(errors.Unavailable, ccxt.RequestTimeout):
    """As :class:`countersign.Unavailable`, and a ``ccxt.RequestTimeout``: the order may exist."""


_KINDS = (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    Denied,
    Exhausted,
    Internal,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Sealed,
    Unauthenticated,
    Unavailable,
)
#: By the class of this package that says the same without ccxt.
BY_KIND: dict[type[errors.Refused], type[errors.Refused]] = {
    base: kind for kind in _KINDS for base in kind.__bases__ if base.__module__ == errors.__name__
}
#: What a status of the proxy means where the reason does not say more.
BY_STATUS = {422: Denied, 500: Internal, 502: NotSent, 503: Unavailable, 504: OutcomeUnknown}


def connect(
    exchange: str | type[Any],
    identity: IdentityLike,
    credential: str,
    *,
    asynchronous: bool = False,
    pro: bool = False,
    streams: Literal["vault", "direct"] = "vault",
    config: dict[str, Any] | None = None,
) -> Any:
    """An exchange of ccxt that is configured for the vault, and else as ``config`` says.

    ``exchange`` is ccxt's id (``"binance"``) or a class of ``ccxt``, ``ccxt.async_support`` or
    ``ccxt.pro``. ``identity`` is an :class:`countersign.Identity`, the folder of one (a path), the name of
    a profile (text), or ``None`` for the default profile. ``credential`` is a name in the vault.
    ``asynchronous`` takes the class from ``ccxt.async_support``, ``pro`` from ``ccxt.pro``. ``streams``
    says whether its WebSockets go through the vault (``"vault"``) or past it (``"direct"``).

    The certificate is renewed while the exchange lives; connections that are made after that use the new
    one.

    Raises :class:`IdentityError`, :class:`ProfileError`; ``ValueError`` for a ``config`` with keys or
    another proxy.
    """
    settings = dict(config or {})
    wrong = sorted(set(settings) & {*KEYS, *PROXIES})
    if wrong:
        raise ValueError(f"config must not have {', '.join(wrong)}: the vault takes the place of these")
    keeper = Keeper.of(identity_of(identity))
    base = _class_of(exchange, asynchronous, pro)
    settings.update(apiKey=PLACEHOLDER + credential, proxyUrl=_proxy_url(keeper))
    if streams not in ("vault", "direct"):
        raise ValueError(f"streams go by 'vault' or 'direct', not {streams!r}")
    made = _subclass(base)(settings)
    made.countersign_streams = streams == "vault"
    for name, value in _placeholders(made).items():
        setattr(made, name, value)
    made.countersign_begin(keeper)
    return made


def _class_of(exchange: str | type[Any], asynchronous: bool, pro: bool) -> type[Any]:
    if not isinstance(exchange, str):
        return exchange
    module = "ccxt.pro" if pro else "ccxt.async_support" if asynchronous else "ccxt"
    found = getattr(importlib.import_module(module), exchange, None)
    if not isinstance(found, type):
        raise ValueError(f"{module} has no exchange {exchange!r}")
    return found


def _placeholders(exchange: Any) -> dict[str, str]:
    """What goes where the other keys would be: of the shapes that ccxt needs to get as far as sending."""
    needed = (name for name, is_needed in exchange.requiredCredentials.items() if is_needed)
    values = {name: "placeholder" for name in needed if name != "apiKey"}
    names = (kind.__name__ for kind in type(exchange).__mro__)
    return {**values, "secret": next((SECRETS[name] for name in names if name in SECRETS), "placeholder")}


def _proxy_url(keeper: Keeper) -> str:
    return f"https://{keeper.identity.address}/"


def _subclass(base: type[Any]) -> type[Any]:
    """The class with refusals and connections of the vault, under its own name."""
    known = _SUBCLASSES.get(base)
    if known is None:
        mixin = _Synchronous if getattr(base, "synchronous", True) else _Asynchronous
        known = _SUBCLASSES[base] = type(base.__name__, (mixin, base), {"__module__": base.__module__})
    return known


_SUBCLASSES: dict[type[Any], type[Any]] = {}


class _Exchange:
    """What is put before the methods of an exchange's class."""

    id: str
    _countersign_mends_proxies = False

    def countersign_begin(self, keeper: Keeper) -> None:
        """Makes the exchange use the identity."""
        self._countersign_keeper = keeper
        self._countersign_mends_proxies = _takes_no_proxy_for_one(self)

    def check_conflicting_proxies(self, agent: Any, url: Any) -> Any:
        # ccxt 4.5.84 to 4.5.90 say `False` for a proxy that is not set, and take that for one that is.
        if self._countersign_mends_proxies and agent is False:
            agent = None
        return super().check_conflicting_proxies(agent, url)  # type: ignore[misc]

    def handle_errors(
        self,
        code: Any,
        reason: Any,
        url: Any,
        method: Any,
        headers: Any,
        body: Any,
        response: Any,
        *more: Any,
    ) -> Any:
        refused = _refused(self.id, code, headers, response)
        if refused is not None:
            raise refused from None
        # fmt: off
        return super().handle_errors(  # type: ignore[misc]
            code, reason, url, method, headers, body, response, *more
        )
        # fmt: on


class _Synchronous(_Exchange):
    def countersign_begin(self, keeper: Keeper) -> None:
        super().countersign_begin(keeper)
        session: Any = self.session  # type: ignore[attr-defined]
        session.mount(_proxy_url(keeper), _Adapter(keeper))


class _Asynchronous(_Exchange):
    session: Any
    countersign_streams = True

    def open(self, *values: Any, **named: Any) -> None:
        super().open(*values, **named)  # type: ignore[misc]
        if self.session is not None and not isinstance(self.session, _Session):
            self.session = _Session(self.session, self._countersign_keeper, self.countersign_streams)

    def client(self, url: Any) -> Any:
        client = super().client(url)  # type: ignore[misc]
        if not hasattr(client, "countersign_on_error"):
            client.countersign_on_error = client.on_error
            client.on_error = lambda error: client.countersign_on_error(_unwrapped(error))
        return client

    def handle_message(self, client: Any, message: Any) -> Any:
        refused = _refused_message(self.id, message)
        if refused is None:
            return super().handle_message(client, message)  # type: ignore[misc]
        _reject(client, refused, {value for name, value in message.items() if name != errors.DOMAIN})
        return None


class _Tls:
    """The TLS context of the newest certificate."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.identity = keeper.identity
        self.context = self.identity.tls_context()

    def is_old(self) -> bool:
        return self.keeper.identity is not self.identity


class _Adapter(HTTPAdapter):
    """Connections of ``requests`` to the vault, and to nobody else."""

    def __init__(self, keeper: Keeper) -> None:
        self._tls = _Tls(keeper)
        super().__init__()

    def init_poolmanager(self, *values: Any, **named: Any) -> None:
        self._made_with = values, {**named}
        super().init_poolmanager(*values, **{**named, "ssl_context": self._tls.context})

    def send(self, request: Any, *values: Any, **named: Any) -> Any:
        if self._tls.is_old():
            self._tls = _Tls(self._tls.keeper)
            # What is in use is closed when it is given back.
            self.poolmanager.clear()
            again, named_again = self._made_with
            self.init_poolmanager(*again, **named_again)
        # ccxt would have everybody trusted whom the system trusts.
        named["verify"] = str(self._tls.identity.folder / "ca.pem")
        named["cert"] = None
        return super().send(request, *values, **named)


class _Session:
    """A session of ``aiohttp`` whose requests to the vault, and no others, go with the certificate. A
    connection is used again for the same context only, so those of an old certificate end by themselves."""

    def __init__(self, session: Any, keeper: Keeper, streams: bool = True) -> None:
        self._session = session
        self._streams = streams
        self._url = _proxy_url(keeper)
        self._tls = _Tls(keeper)

    def ws_connect(self, url: Any, **named: Any) -> Any:
        if not self._streams or not str(url).startswith("wss://"):
            return self._session.ws_connect(url, **named)
        # The vault is no venue: no other proxy leads to it.
        named.pop("proxy", None)
        named["ssl"] = self._context()
        # Encoded as a whole, nobody on the way can take it for a path of its own to mend.
        through = "wss" + self._url.removeprefix("https") + quote(str(url), safe="")
        return _Opening(self._session.ws_connect(_encoded(through), **named))

    def _context(self) -> Any:
        if self._tls.is_old():
            self._tls = _Tls(self._tls.keeper)
        return self._tls.context

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if name not in ("delete", "get", "head", "options", "patch", "post", "put"):
            return found

        def with_certificate(url: Any, **named: Any) -> Any:
            if str(url).startswith(self._url):
                named["ssl"] = self._context()
            return found(url, **named)

        return with_certificate


class _Opening:
    """A WebSocket that is being opened; what the vault says against it is raised as its refusal."""

    def __init__(self, opening: Any) -> None:
        self._opening = opening

    async def __aenter__(self) -> Any:
        from aiohttp import WSServerHandshakeError

        try:
            return await self._opening.__aenter__()
        except WSServerHandshakeError as error:
            refused = _refused_handshake(error.status, error.headers)
            if refused is None:
                raise
            raise refused from None

    async def __aexit__(self, *error: Any) -> Any:
        return await self._opening.__aexit__(*error)


def _encoded(url: str) -> Any:
    """The URL as it stands: aiohttp would decode what need not be encoded."""
    from yarl import URL

    return URL(url, encoded=True)


def _takes_no_proxy_for_one(exchange: Any) -> bool:
    """Whether this ccxt refuses a ``proxyUrl`` that is alone."""
    try:
        exchange.check_conflicting_proxies(False, "https://proxy.example/")
    except ccxt.InvalidProxySettings:
        return True
    return False


def _refused(name: str, status: Any, headers: Any, answer: object) -> errors.Refused | None:
    """The vault's refusal, if the answer is one and not a venue's."""
    if not isinstance(status, int) or any(str(header).lower() == FROM_VENUE for header in headers or ()):
        return None
    refusal = errors.from_answer(status, answer)
    if refusal is None:
        return None
    return _kind_of(refusal, status)(refusal, about=f"{name} ")


def _kind_of(refusal: errors.Refusal, status: int) -> type[errors.Refused]:
    known = errors.BY_REASON.get(refusal.reason)
    return BY_KIND[known] if known is not None else BY_STATUS.get(status, Refused)


def _refused_handshake(status: int, headers: Any) -> errors.Refused | None:
    """As :func:`_refused`, of a WebSocket: aiohttp shows its headers and not its body."""
    reason = (headers or {}).get("countersign-reason")
    if not isinstance(reason, str) or FROM_VENUE in headers:
        return None
    stated = {
        "reason": reason,
        "message": f"the websocket was refused: {reason}",
        "entry": headers.get("countersign-entry"),
        "retry_after_ms": f"{headers.get('retry-after', '')}000",
    }
    refusal = errors.from_answer(status, {errors.DOMAIN: stated})
    return None if refusal is None else _kind_of(refusal, status)(refusal)


def _refused_message(name: str, message: Any) -> errors.Refused | None:
    """The vault's refusal, if that is what came instead of the venue's answer."""
    if not isinstance(message, dict) or errors.DOMAIN not in message:
        return None
    refusal = errors.from_answer(422, message)
    return None if refusal is None else _kind_of(refusal, 422)(refusal, about=f"{name} ")


def _reject(client: Any, refused: errors.Refused, ids: set[Any]) -> None:
    """Raises a refusal where its message was sent: the vault repeats the message's own id."""
    named = {str(each) for each in ids}
    asked = [hash_ for hash_ in client.futures if str(hash_) in named]
    subscribed = [hash_ for hash_, of in client.subscriptions.items() if _id_of(of) in named]
    for hash_ in subscribed:
        # Or the next try would take it for subscribed, and wait for ever.
        del client.subscriptions[hash_]
    waiting = [hash_ for hash_ in {*asked, *subscribed} if hash_ in client.futures]
    for hash_ in waiting:
        client.reject(refused, hash_)
    if waiting:
        return
    if not subscribed:
        # It could be any of them.
        client.subscriptions.clear()
    # Whoever waits, waits under another name.
    client.reject(refused)


def _id_of(subscription: Any) -> str | None:
    found = subscription.get("id") if isinstance(subscription, dict) else None
    return None if found is None else str(found)


def _unwrapped(error: Any) -> Any:
    """What ccxt's client makes of a refusal: an error of the network, with the refusal in it."""
    inner = error.args[0] if isinstance(error, ccxt.NetworkError) and error.args else None
    return inner if isinstance(inner, errors.Refused) else error
