/**
 * The way to the vault: gRPC over TLS 1.3 with the identity's certificate.
 *
 * @module
 */

import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { isIP } from 'node:net';
import { checkServerIdentity as tlsCheck } from 'node:tls';
import { signedCommand } from './command.js';
import { fromStatus, type CountersignError } from './errors.js';
import {
  RenewCommandSchema,
  RenewRequestSchema,
  RenewResponseSchema,
  type RenewResponse,
} from './generated/vault/v1/client_service_pb.js';
import {
  ExecuteRequestSchema,
  ExecuteResponseSchema,
  ExecuteStreamResponseSchema,
} from './generated/vault/v1/execute_service_pb.js';
import {
  SignBatchRequestSchema,
  SignBatchResponseSchema,
  SignRequestSchema,
  SignResponseSchema,
  SignResultSchema,
} from './generated/vault/v1/sign_service_pb.js';
import type { Identity } from './identity.js';

/** In milliseconds: as long as the vault itself gives a Sign, waits for a venue, and may take to renew. */
export const SIGN_TIMEOUT_MS = 5_000;
export const EXECUTE_TIMEOUT_MS = 35_000;
const RENEW_TIMEOUT_MS = 15_000;
/**
 * A body of the largest size that the vault answers with at once, and what is around it; also more than the 256
 * answers of a batch.
 */
const ANSWER_BYTES_MAX = 2 << 20;
const DETAILS = 'grpc-status-details-bin';

const OPTIONS: grpc.ChannelOptions = {
  // A proxy in the environment is for the bot's own traffic.
  'grpc.enable_http_proxy': 0,
  // What is sent again is decided by the client alone.
  'grpc.enable_retries': 0,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.service_config_disable_resolution': 1,
  // Another identity of this process must never share a connection.
  'grpc.use_local_subchannel_pool': 1,
};

/** One RPC: its path and its messages. */
export class Method<Request extends DescMessage, Response extends DescMessage> {
  readonly path: string;

  constructor(
    readonly name: string,
    readonly request: Request,
    readonly response: Response,
  ) {
    this.path = `/${name}`;
  }

  readonly encode = (message: MessageShape<Request>): Buffer => Buffer.from(toBinary(this.request, message));

  readonly decode = (bytes: Buffer): MessageShape<Response> => fromBinary(this.response, bytes);
}

export const SIGN = new Method('vault.v1.SignService/Sign', SignRequestSchema, SignResponseSchema);
export const SIGN_BATCH = new Method(
  'vault.v1.SignService/SignBatch',
  SignBatchRequestSchema,
  SignBatchResponseSchema,
);
export const SIGN_STREAM = new Method('vault.v1.SignService/SignStream', SignRequestSchema, SignResultSchema);
export const EXECUTE = new Method(
  'vault.v1.ExecuteService/Execute',
  ExecuteRequestSchema,
  ExecuteResponseSchema,
);
export const EXECUTE_STREAM = new Method(
  'vault.v1.ExecuteService/ExecuteStream',
  ExecuteRequestSchema,
  ExecuteStreamResponseSchema,
);
export const RENEW = new Method('vault.v1.ClientService/Renew', RenewRequestSchema, RenewResponseSchema);

/** How long a call waits, and what gives it up. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** What is heard of a call with messages both ways. */
export interface Heard<Response> {
  message(message: Response): void;
  /** Once, at the end, after the last message; without an error if the vault ended it as it should. */
  end(error: CountersignError | undefined): void;
}

/** The sending side of a call with messages both ways. */
export interface Duplex<Request> {
  write(message: Request): void;
  /** No more messages. */
  end(): void;
  cancel(): void;
}

/** A connection with one identity, closed when it is retired and the last call has left it. */
export class Connection {
  readonly #client: grpc.Client;
  #users = 0;
  #retired = false;

  /** Connects at the first call. */
  constructor(readonly identity: Identity) {
    const ip = ipOf(identity.address);
    // TLS names no IP address to the server, and Node warns of one: another name is sent, and the certificate
    // is checked for the address.
    const checkServerIdentity: typeof tlsCheck = (name, certificate) => tlsCheck(ip ?? name, certificate);
    const options = ip === undefined ? OPTIONS : { ...OPTIONS, 'grpc.ssl_target_name_override': 'vault' };
    const context = identity.secureContext();
    const credentials = grpc.credentials.createFromSecureContext(context, { checkServerIdentity });
    this.#client = new grpc.Client(identity.address, credentials, options);
  }

  /** Asks once. Rejects with {@link CountersignError}. */
  async unary<Request extends DescMessage, Response extends DescMessage>(
    method: Method<Request, Response>,
    request: MessageShape<Request>,
    patience: Patience,
  ): Promise<MessageShape<Response>> {
    this.#users += 1;
    try {
      return await new Promise((resolve, reject) => {
        const call = this.#client.makeUnaryRequest(
          method.path,
          method.encode,
          method.decode,
          request,
          new grpc.Metadata(),
          deadline(patience),
          (error, answer) => {
            unheed();
            if (error === null && answer !== undefined) resolve(answer);
            else reject(failure(error));
          },
        );
        const unheed = heed(patience, call);
      });
    } finally {
      this.#leave();
    }
  }

  /** The messages of a streamed answer, as they come; the call ends when the iteration does. */
  async *stream<Request extends DescMessage, Response extends DescMessage>(
    method: Method<Request, Response>,
    request: MessageShape<Request>,
    patience: Patience,
  ): AsyncGenerator<MessageShape<Response>, void> {
    this.#users += 1;
    const call = this.#client.makeServerStreamRequest(
      method.path,
      method.encode,
      method.decode,
      request,
      deadline(patience),
    );
    const unheed = heed(patience, call);
    try {
      // Ended below, since a call that is only destroyed goes on until its deadline.
      const messages = call.iterator({ destroyOnReturn: false });
      for await (const message of messages) yield message as MessageShape<Response>;
    } catch (error) {
      throw failure(error);
    } finally {
      unheed();
      call.cancel();
      // What is said of a call that nobody waits for any more.
      call.on('error', () => undefined);
      this.#leave();
    }
  }

  /** A call with messages both ways, without a deadline. Who writes sees to it that not too many wait. */
  duplex<Request extends DescMessage, Response extends DescMessage>(
    method: Method<Request, Response>,
    heard: Heard<MessageShape<Response>>,
  ): Duplex<MessageShape<Request>> {
    const call = this.#client.makeBidiStreamRequest(
      method.path,
      method.encode,
      method.decode,
      new grpc.Metadata(),
    );
    this.#users += 1;
    let status: grpc.StatusObject | undefined;
    let read = false;
    // The status may be said while messages wait to be read.
    const end = (): void => {
      if (status === undefined || !read) return;
      this.#leave();
      heard.end(status.code === grpc.status.OK ? undefined : failure(status));
    };
    call.on('data', (message: MessageShape<Response>) => {
      heard.message(message);
    });
    call.once('end', () => {
      read = true;
      end();
    });
    call.once('status', (said: grpc.StatusObject) => {
      status = said;
      end();
    });
    // The status says it too.
    call.on('error', () => undefined);
    return call;
  }

  /** Closes the connection as soon as nobody uses it. */
  retire(): void {
    this.#retired = true;
    if (this.#users === 0) this.#client.close();
  }

  #leave(): void {
    this.#users -= 1;
    if (this.#retired && this.#users === 0) this.#client.close();
  }
}

/** The IP address of a `host:port`; `undefined` if it has a name. */
function ipOf(address: string): string | undefined {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? undefined : host;
}

function deadline({ timeoutMs }: Patience): grpc.CallOptions {
  return { deadline: Date.now() + timeoutMs };
}

/** Gives the call up with the signal; what is returned ends that. */
function heed({ signal }: Patience, call: { cancel(): void }): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = (): void => {
    call.cancel();
  };
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  return () => {
    signal.removeEventListener('abort', cancel);
  };
}

/** Asks for a certificate for another key, over a connection of its own. */
export async function renew(identity: Identity, csr: Uint8Array): Promise<RenewResponse> {
  const body = toBinary(RenewCommandSchema, create(RenewCommandSchema, { csr }));
  const request = create(RenewRequestSchema, { command: signedCommand(identity, RENEW.name, body) });
  const connection = new Connection(identity);
  try {
    return await connection.unary(RENEW, request, { timeoutMs: RENEW_TIMEOUT_MS, signal: undefined });
  } finally {
    connection.retire();
  }
}

/** What an error of gRPC means. */
function failure(error: unknown): CountersignError {
  const { code, details, metadata } = (error ?? {}) as Partial<grpc.ServiceError>;
  const name = code === undefined ? 'UNKNOWN' : (grpc.status[code] ?? 'UNKNOWN');
  const value = metadata?.get(DETAILS)[0];
  return fromStatus(name, details ?? '', value instanceof Buffer ? value : undefined);
}
