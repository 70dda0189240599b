/**
 * An ordinary ccxt exchange that trades through the vault, and holds no secret.
 *
 *     const exchange = connect('binance', 'bot', 'binance-main');
 *     await exchange.createOrder('BTC/USDT', 'limit', 'buy', 0.001, 50_000);
 *
 * Every request goes to the vault's HTTPS proxy with the bot's certificate and placeholders where key and
 * signature would be. Refusals of the vault are thrown as what a ccxt bot expects and as what this package calls
 * them: {@link Denied} is a ccxt `ExchangeError` and, by `instanceof`, a `Denied` of `@countersign/client`.
 *
 * @module
 */

import ccxt, { type Exchange } from 'ccxt';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { Agent, fetch as request, type RequestInit } from 'undici';
import * as errors from './errors.js';
import type { Refusal } from './errors.js';
import type { Identity } from './identity.js';
import { Keeper } from './keeper.js';
import { identityOf, type IdentityLike } from './profile.js';

/** What stands before the name of a credential, where the API key belongs. */
const PLACEHOLDER = 'countersign:';
/** In every answer of a venue that the vault passes on, and in none of its own. */
const FROM_VENUE = 'countersign-latency-us';

// No keys of anybody's (the private number is 32 bytes of 1): ccxt signs with them before it sends, and the vault
// takes the signature off.
const BASE64 = 'Y291bnRlcnNpZ24gcGxhY2Vob2xkZXIsIG5vdCBhIHNlY3JldA==';
const P256 = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAoGCCqGSM49
AwEHoUQDQgAEb/A7lJJBzh2t1DUZ5pYOCoW0GmmgXDKBA6orzhWUyhY8T3U6Vb8B
3FP2wLDH7ueLQMb/fSWpbiKCuYnO9xwUSg==
-----END EC PRIVATE KEY-----
`;
/** Secrets of the shape that an exchange's class insists on; elsewhere any text will do. */
const SECRETS: Readonly<Record<string, string>> = {
  coinbase: P256,
  coinbaseexchange: BASE64,
  kraken: BASE64,
  krakenfutures: BASE64,
};
/** What ccxt calls the parts of a credential: the vault has them, so a bot gives none. */
const KEYS = [
  'apiKey',
  'login',
  'password',
  'privateKey',
  'secret',
  'token',
  'twofa',
  'uid',
  'walletAddress',
];
/** Other ways to set a proxy or a way to fetch, which would go past the vault. */
const PROXIES = [
  'agent',
  'fetchDispatcher',
  'fetchImplementation',
  'httpsAgent',
  'proxy',
  'wsProxy',
  'ws_proxy',
  'wssProxy',
  'wss_proxy',
  'wsSocksProxy',
  'ws_socks_proxy',
  ...['proxyUrl', 'httpProxy', 'httpsProxy', 'socksProxy'].flatMap((name) => [name, `${name}Callback`]),
  ...['proxy_url', 'http_proxy', 'https_proxy', 'socks_proxy'].flatMap((name) => [name, `${name}_callback`]),
];

/** A refusal of the vault that is an error of ccxt's. */
function alsoCcxt(base: new (message: string) => Error, also: errors.RefusedClass) {
  return class extends base {
    /** Id of the order that the call was about: none that is known, through the proxy. */
    requestId: string | undefined = undefined;
    /** As of the class of the same name in `@countersign/client`. */
    readonly maybeSent: boolean;

    constructor(
      /** All that the vault said. */
      readonly refusal: Refusal,
      about = '',
    ) {
      super(about + errors.words(refusal));
      this.name = new.target.name;
      this.maybeSent = new also(refusal).maybeSent;
    }

    get [errors.ALSO](): errors.RefusedClass {
      return also;
    }

    /** As in {@link Refusal}. */
    get reason(): string {
      return this.refusal.reason;
    }

    /** As in {@link Refusal}. */
    get code(): string {
      return this.refusal.code;
    }

    /** As in {@link Refusal}. */
    get operation(): string {
      return this.refusal.operation;
    }

    /** As in {@link Refusal}. */
    get operationClass(): string {
      return this.refusal.operationClass;
    }

    /** As in {@link Refusal}. */
    get hint(): string {
      return this.refusal.hint;
    }

    /** As in {@link Refusal}. */
    get remedies(): readonly string[] {
      return this.refusal.remedies;
    }

    /** As in {@link Refusal}. */
    get entryIndex(): number | undefined {
      return this.refusal.entryIndex;
    }

    /** As in {@link Refusal}. */
    get retryAfterMs(): number | undefined {
      return this.refusal.retryAfterMs;
    }
  };
}

/** Any other refusal: a ccxt `ExchangeError`. */
export class Refused extends alsoCcxt(ccxt.ExchangeError, errors.Refused) {}
/** As `BadRequest`, and a ccxt `ExchangeError`. */
export class BadRequest extends alsoCcxt(ccxt.ExchangeError, errors.BadRequest) {}
/** As `Conflict`, and a ccxt `ExchangeError`. */
export class Conflict extends alsoCcxt(ccxt.ExchangeError, errors.Conflict) {}
/** As `Denied`, and a ccxt `ExchangeError`: bots do not try again. */
export class Denied extends alsoCcxt(ccxt.ExchangeError, errors.Denied) {}
/** As `NotFound`, and a ccxt `ExchangeError`. */
export class NotFound extends alsoCcxt(ccxt.ExchangeError, errors.NotFound) {}
/** As `Unauthenticated`, and a ccxt `ExchangeError`. */
export class Unauthenticated extends alsoCcxt(ccxt.ExchangeError, errors.Unauthenticated) {}
/** As `Exhausted`, and a ccxt `ExchangeNotAvailable`: bots try again later. */
export class Exhausted extends alsoCcxt(ccxt.ExchangeNotAvailable, errors.Exhausted) {}
/** As `NotSent`, and a ccxt `ExchangeNotAvailable`: bots try again later. */
export class NotSent extends alsoCcxt(ccxt.ExchangeNotAvailable, errors.NotSent) {}
/** As `Sealed`, and a ccxt `ExchangeNotAvailable`: bots try again later. */
export class Sealed extends alsoCcxt(ccxt.ExchangeNotAvailable, errors.Sealed) {}
/** As `DeadlineExceeded`, and a ccxt `RequestTimeout`: the order may exist. */
export class DeadlineExceeded extends alsoCcxt(ccxt.RequestTimeout, errors.DeadlineExceeded) {}
/** As `Internal`, and a ccxt `RequestTimeout`: the order may exist. */
export class Internal extends alsoCcxt(ccxt.RequestTimeout, errors.Internal) {}
/** As `OutcomeUnknown`, and a ccxt `RequestTimeout`: the order may exist. */
export class OutcomeUnknown extends alsoCcxt(ccxt.RequestTimeout, errors.OutcomeUnknown) {}
/** As `Unavailable`, and a ccxt `RequestTimeout`: the order may exist. */
export class Unavailable extends alsoCcxt(ccxt.RequestTimeout, errors.Unavailable) {}

type CcxtRefusedClass = new (refusal: Refusal, about?: string) => Refused;

/** By the class of this package that says the same without ccxt. */
const BY_KIND: ReadonlyMap<errors.RefusedClass, CcxtRefusedClass> = new Map<
  errors.RefusedClass,
  CcxtRefusedClass
>([
  [errors.Conflict, Conflict],
  [errors.DeadlineExceeded, DeadlineExceeded],
  [errors.Exhausted, Exhausted],
  [errors.NotFound, NotFound],
  [errors.NotSent, NotSent],
  [errors.OutcomeUnknown, OutcomeUnknown],
  [errors.Sealed, Sealed],
  [errors.Unauthenticated, Unauthenticated],
]);
/** What a status of the proxy means where the reason does not say more. */
const BY_STATUS: ReadonlyMap<number, CcxtRefusedClass> = new Map<number, CcxtRefusedClass>([
  [422, Denied],
  [500, Internal],
  [502, NotSent],
  [503, Unavailable],
  [504, OutcomeUnknown],
]);

/** A class of exchanges: `ccxt.binance`, `ccxt.pro.binance`. */
export type ExchangeClass<E extends Exchange = Exchange> = new (config?: object) => E;

/** What may be special about an exchange. */
export interface ConnectOptions {
  /** Takes the class from `ccxt.pro`: also streams, by WebSocket. */
  readonly pro?: boolean;
  /** Where streams of ccxt.pro go: to the vault, or past it, straight to the venue: then public ones alone work. */
  readonly streams?: 'direct' | 'vault';
  /** ccxt's own configuration: without keys, and without another proxy. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/**
 * An exchange of ccxt that is configured for the vault, and else as `config` says.
 *
 * `exchange` is ccxt's id (`'binance'`) or a class of `ccxt` or `ccxt.pro`. `identity` is what `Client` takes: an
 * identity, the folder of one, the name of a profile, or `undefined` for the default profile. `credential` is a
 * name in the vault.
 *
 * The certificate is renewed while the exchange lives; connections that are made after that use the new one.
 *
 * Throws {@link IdentityError}, {@link ProfileError}; `TypeError` for a `config` with keys or another proxy, and
 * for an exchange that ccxt does not have.
 */
export function connect<E extends Exchange = Exchange>(
  exchange: string | ExchangeClass<E>,
  identity: IdentityLike,
  credential: string,
  options: ConnectOptions = {},
): E {
  const config = { ...options.config };
  const wrong = [...KEYS, ...PROXIES].filter((name) => Object.hasOwn(config, name)).sort();
  if (wrong.length > 0) {
    throw new TypeError(`config must not have ${wrong.join(', ')}: the vault takes the place of these`);
  }
  const base = typeof exchange === 'string' ? classOf<E>(exchange, options.pro ?? false) : exchange;
  const keeper = Keeper.of(identityOf(identity));
  const made = new (subclass(base))({
    ...config,
    apiKey: PLACEHOLDER + credential,
    proxyUrl: `https://${keeper.identity.address}/`,
  });
  return Object.assign(made, placeholders(made), {
    fetchImplementation: (url: string, init: RequestInit) => fetchThroughVault(keeper, url, init),
    [KEEPER]: keeper,
    [DIRECT]: options.streams === 'direct',
  });
}

/** Where an exchange holds its keeper: it ends with the last exchange that does. */
const KEEPER = Symbol('keeper');
/** Whether its streams go past the vault. */
const DIRECT = Symbol('direct');

function classOf<E extends Exchange>(id: string, pro: boolean): ExchangeClass<E> {
  const classes = (pro ? ccxt.pro : ccxt) as unknown as Record<string, ExchangeClass<E> | undefined>;
  const found = ccxt.exchanges.includes(id) ? classes[id] : undefined;
  if (found === undefined)
    throw new TypeError(`ccxt${pro ? '.pro' : ''} has no exchange ${JSON.stringify(id)}`);
  return found;
}

/** What goes where the other keys would be: of the shapes that ccxt needs to get as far as sending. */
function placeholders(exchange: Exchange): Record<string, string> {
  const required = exchange.requiredCredentials as Record<string, boolean>;
  const needed = Object.keys(required).filter((name) => required[name] === true && name !== 'apiKey');
  let secret: string | undefined;
  // The exchange's own class, or that of which it is another.
  for (
    let kind: unknown = exchange.constructor;
    typeof kind === 'function';
    kind = Object.getPrototypeOf(kind)
  ) {
    secret ??= SECRETS[kind.name];
  }
  return {
    ...Object.fromEntries(needed.map((name) => [name, 'placeholder'])),
    secret: secret ?? 'placeholder',
  };
}

/** A connection of ccxt.pro, as far as it is used here. */
interface Stream {
  url: string;
  options: Record<string, unknown> | undefined;
  futures: Record<string, unknown>;
  subscriptions: Record<string, unknown>;
  connection: {
    on(event: 'unexpected-response', heard: (sent: ClientRequest, got: IncomingMessage) => void): void;
  };
  createConnection: () => void;
  onError(error: Error): void;
  reject(error: Error, future?: string): unknown;
}

/** What is put before the methods of an exchange's class. */
interface Overridden {
  id: string;
  [KEEPER]: Keeper;
  [DIRECT]: boolean;
  handleErrors(
    status: number,
    reason: string,
    url: string,
    method: string,
    headers: object,
    ...more: unknown[]
  ): unknown;
  client(url: string): Stream;
  handleMessage(stream: Stream, message: unknown): unknown;
}

const SUBCLASSES = new WeakMap<ExchangeClass<never>, ExchangeClass<never>>();
const THROUGH_VAULT = new WeakSet<Stream>();

/** The class with refusals and streams of the vault, under its own name. */
function subclass<E extends Exchange>(base: ExchangeClass<E>): ExchangeClass<E> {
  const known = SUBCLASSES.get(base as ExchangeClass<never>);
  if (known !== undefined) return known as unknown as ExchangeClass<E>;
  const Base = base as unknown as new (config?: object) => Overridden;
  class Countersigned extends Base {
    override handleErrors(
      status: number,
      reason: string,
      url: string,
      method: string,
      headers: object,
      ...more: unknown[]
    ): unknown {
      const refused = refusedBy(this.id, status, headers, more[1]);
      if (refused !== undefined) throw refused;
      return super.handleErrors(status, reason, url, method, headers, ...more);
    }

    override handleMessage(stream: Stream, message: unknown): unknown {
      const refusal = errors.fromAnswer(422, message);
      if (refusal === undefined) return super.handleMessage(stream, message);
      const refused = new (kindOf(refusal.reason, 422))(refusal, `${this.id} `);
      // Beside it stands the id of the message that was refused, if it had one.
      const { [errors.DOMAIN]: _, ...ids } = message as Record<string, unknown>;
      reject(
        stream,
        refused,
        new Set(
          Object.values(ids)
            .map(String)
            .filter((id) => id !== ''),
        ),
      );
      return undefined;
    }

    override client(url: string): Stream {
      const stream = super.client(url);
      if (!this[DIRECT] && !THROUGH_VAULT.has(stream)) {
        THROUGH_VAULT.add(stream);
        throughVault(stream, this[KEEPER], this.id);
      }
      return stream;
    }
  }
  Object.defineProperty(Countersigned, 'name', { value: base.name });
  const made = Countersigned as unknown as ExchangeClass<E>;
  SUBCLASSES.set(base as ExchangeClass<never>, made as unknown as ExchangeClass<never>);
  return made;
}

/** Ends the calls that wait for a refused message, and has the next of them send it again. */
function reject(stream: Stream, refused: Refused, ids: ReadonlySet<string>): void {
  const asked = Object.keys(stream.futures).filter((hash) => ids.has(hash));
  const subscribed = Object.keys(stream.subscriptions).filter(
    (hash) => ids.has(hash) || ids.has(idOf(stream.subscriptions[hash])),
  );
  // Or ccxt would take the next try for subscribed, and wait for ever.
  for (const hash of subscribed) delete stream.subscriptions[hash];
  // It could be any of them.
  if (asked.length === 0 && subscribed.length === 0) stream.subscriptions = {};
  const waiting = new Set([...asked, ...subscribed.filter((hash) => Object.hasOwn(stream.futures, hash))]);
  for (const hash of waiting) stream.reject(refused, hash);
  // Calls may wait under other names than they subscribe under.
  if (waiting.size === 0) stream.reject(refused);
}

/** The id of the message that subscribed; empty where ccxt did not keep it. */
function idOf(subscription: unknown): string {
  const id = (subscription as { id?: unknown } | null)?.id;
  return typeof id === 'string' || typeof id === 'number' ? String(id) : '';
}

/** Has a stream connect to the vault. Its `url` stays the venue's: the exchange's class looks at it. */
function throughVault(stream: Stream, keeper: Keeper, id: string): void {
  const createConnection = stream.createConnection.bind(stream);
  stream.createConnection = () => {
    const { url, options } = stream;
    const { identity } = keeper;
    stream.url = `wss://${identity.address}/${url}`;
    stream.options = { ...options, ...identity.tls() };
    try {
      createConnection();
    } finally {
      stream.url = url;
    }
    stream.connection.on('unexpected-response', (sent, got) => {
      void json(got)
        .catch(() => undefined)
        .then((answer) => {
          const status = got.statusCode ?? 0;
          const refused = refusedBy(id, status, got.headers, answer);
          stream.onError(refused ?? new ccxt.NetworkError(`${id} ${url}: status ${status}`));
          sent.destroy();
        });
    });
  };
}

interface Pool {
  readonly identity: Identity;
  readonly agent: Agent;
}

const POOLS = new WeakMap<Keeper, Pool>();

/** Connections with the newest certificate; those with an older one end when their requests do. */
function poolOf(keeper: Keeper): Agent {
  const { identity } = keeper;
  const known = POOLS.get(keeper);
  if (known?.identity === identity) return known.agent;
  const agent = new Agent({
    connect: identity.tls(),
    // As ccxt has it: one request at a time on a connection, so none waits behind another.
    connections: 256,
    keepAliveTimeout: 60_000,
    pipelining: 1,
  });
  POOLS.set(keeper, { identity, agent });
  void known?.agent.close();
  return agent;
}

async function fetchThroughVault(keeper: Keeper, url: string, init: RequestInit): Promise<unknown> {
  const { method = 'GET', headers, body, signal } = init;
  // ccxt puts the proxy before every URL, unless a bot has taken it away since.
  if (!url.startsWith(`https://${keeper.identity.address}/`)) {
    throw new TypeError('the request does not go to the vault');
  }
  const given = Object.entries({ headers, body, signal }).filter(([, value]) => value !== undefined);
  return request(url, {
    ...(Object.fromEntries(given) as RequestInit),
    method,
    dispatcher: poolOf(keeper),
    redirect: 'error',
  });
}

/** The vault's refusal, if the answer is one and not a venue's. */
function refusedBy(id: string, status: number, headers: object, answer: unknown): Refused | undefined {
  if (Object.keys(headers).some((name) => name.toLowerCase() === FROM_VENUE)) return undefined;
  const refusal = errors.fromAnswer(status, answer);
  if (refusal === undefined) return undefined;
  return new (kindOf(refusal.reason, status))(refusal, `${id} `);
}

function kindOf(reason: string, status: number): CcxtRefusedClass {
  const known = errors.BY_REASON.get(reason);
  return (known && BY_KIND.get(known)) ?? BY_STATUS.get(status) ?? Refused;
}
