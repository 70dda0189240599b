// A gRPC server that answers as the vault does, over TLS with client certificates.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { X509Certificate, createHash, verify } from 'node:crypto';
import { signingBytes } from '../src/command.js';
import { ErrorInfoSchema, StatusSchema } from '../src/generated/countersign/rpc_pb.js';
import { RenewCommandSchema, RenewResponseSchema } from '../src/generated/vault/v1/client_service_pb.js';
import type { VenueRequest } from '../src/generated/vault/v1/common_pb.js';
import {
  ExecuteResponseSchema,
  ExecuteStreamResponseSchema,
  type ExecuteRequest,
} from '../src/generated/vault/v1/execute_service_pb.js';
import {
  SignBatchResponseSchema,
  SignResponseSchema,
  SignResultSchema,
  type SignBatchRequest,
  type SignRequest,
  type SignResult,
} from '../src/generated/vault/v1/sign_service_pb.js';
import {
  EXECUTE,
  EXECUTE_STREAM,
  RENEW,
  SIGN,
  SIGN_BATCH,
  SIGN_STREAM,
  type Method,
} from '../src/transport.js';
import type { Authority } from './authority.js';

const ORIGIN = 'vault.example/audit/node-1/7';

interface Faked {
  logOrigin?: string;
  index?: bigint;
  leafHash?: Uint8Array;
  seq?: bigint;
}

export class FakeVault {
  readonly requests: (SignRequest | ExecuteRequest)[] = [];
  readonly batches: SignBatchRequest[] = [];
  readonly serials: string[] = [];
  readonly refusals: Partial<grpc.StatusObject>[] = [];
  /** Of the next receipts. */
  receipt: Faked = {};
  /** What becomes of orders among others, by their ids: kind, reason and what else is said. */
  readonly failures = new Map<string, [keyof typeof grpc.status, string, Record<string, string>?]>();
  /** What becomes of the results of a batch, and of a stream whose last order has come. */
  results: ((results: SignResult[]) => SignResult[]) | undefined;
  /** What the vault gives out instead of a certificate for the new key. */
  issued: Uint8Array | undefined;
  caDer: Uint8Array;
  body: Uint8Array = Buffer.from('{"id":12345678901234567890,"price":"0.10","n":7}');
  hold: Promise<void> = Promise.resolve();
  address = '';
  readonly #server = new grpc.Server();
  #index = 40n;

  private constructor(readonly authority: Authority) {
    this.caDer = authority.der;
  }

  static async start(authority: Authority): Promise<FakeVault> {
    const vault = new FakeVault(authority);
    await vault.#start();
    return vault;
  }

  async #start(): Promise<void> {
    const definition = (method: Method<never, never> | object, stream = false, requests = false) => {
      const { path, request, response } = method as Method<any, any>;
      return {
        path,
        requestStream: requests,
        responseStream: stream,
        requestDeserialize: (bytes: Buffer) => fromBinary(request, bytes),
        requestSerialize: (message: any) => Buffer.from(toBinary(request, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(response, bytes),
        responseSerialize: (message: any) => Buffer.from(toBinary(response, message)),
      };
    };
    this.#server.addService(
      {
        sign: definition(SIGN),
        signBatch: definition(SIGN_BATCH),
        signStream: definition(SIGN_STREAM, true, true),
        execute: definition(EXECUTE),
        stream: definition(EXECUTE_STREAM, true),
        renew: definition(RENEW),
      },
      {
        sign: this.#unary((request) => this.#sign(request.request)),
        signBatch: this.#unary((request) => this.#signBatch(request)),
        signStream: (call: grpc.ServerDuplexStream<any, any>) => void this.#signStream(call),
        execute: this.#unary((request) => this.#execute(request)),
        stream: (call: grpc.ServerWritableStream<any, any>) => void this.#stream(call),
        renew: this.#unary((request, peer) => this.#renew(request, peer)),
      },
    );
    const { key, cert } = await this.authority.server();
    const credentials = grpc.ServerCredentials.createSsl(
      Buffer.from(this.authority.pem),
      [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }],
      true,
    );
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    this.address = `127.0.0.1:${port}`;
  }

  async #hear(
    call: { request: any } & Pick<grpc.ServerUnaryCall<any, any>, 'getAuthContext'>,
    request = call.request,
  ) {
    const peer = new X509Certificate(call.getAuthContext().sslPeerCertificate?.raw as Buffer);
    if ('requests' in request) this.batches.push(request);
    else this.requests.push(request);
    this.serials.push(peer.serialNumber);
    await this.hold;
    const refusal = this.refusals.shift();
    if (refusal) throw refusal;
    return peer;
  }

  #unary(answer: (request: any, peer: X509Certificate) => unknown) {
    return async (call: grpc.ServerUnaryCall<any, any>, reply: grpc.sendUnaryData<any>) => {
      try {
        reply(null, await answer(call.request, await this.#hear(call)));
      } catch (error) {
        reply(error as grpc.ServiceError);
      }
    };
  }

  /** Refuses the next call; without a reason as something on the way would. */
  refuse(
    code: keyof typeof grpc.status,
    details: string,
    reason?: string,
    more: Record<string, string> = {},
  ) {
    const metadata = new grpc.Metadata();
    if (reason !== undefined) metadata.set('grpc-status-details-bin', statusDetails(reason, more));
    this.refusals.push({ code: grpc.status[code] as grpc.status, details, metadata });
  }

  #receipt() {
    this.#index += 1n;
    const leafHash = createHash('sha256').update(String(this.#index)).digest();
    const { seq = this.#index, ...receipt } = {
      logOrigin: ORIGIN,
      index: this.#index,
      leafHash,
      ...this.receipt,
    };
    return { seq, receipt };
  }

  #sign(request: VenueRequest) {
    const headers = [{ name: 'x-signature', value: 's3cr3t' }];
    return create(SignResponseSchema, {
      ...this.#receipt(),
      request: { method: request.method, url: 'https://signed.example/?signature=s3cr3t', headers },
      usableForMs: 5000n,
      notionalUsd: '12.50',
      limitsLeft: [{ limit: 'orders/1m', left: '9' }],
    });
  }

  #signBatch({ requests }: SignBatchRequest) {
    const results = requests.map((request) => this.#result(request));
    return create(SignBatchResponseSchema, { results: this.results?.(results) ?? results });
  }

  async #signStream(call: grpc.ServerDuplexStream<any, any>): Promise<void> {
    const kept: SignResult[] = [];
    try {
      // Or it would end with the last order.
      for await (const request of call.iterator({ destroyOnReturn: false })) {
        await this.#hear(call as never, request);
        const result = this.#result(request);
        if (this.results === undefined) call.write(result);
        else kept.push(result);
      }
      for (const result of this.results?.(kept) ?? []) call.write(result);
      call.end();
    } catch (error) {
      call.emit('error', error);
    }
  }

  #result({ requestId, request }: SignRequest) {
    const failure = this.failures.get(requestId);
    if (failure === undefined) {
      const value = this.#sign(request as VenueRequest);
      return create(SignResultSchema, { requestId, result: { case: 'signed', value } });
    }
    const [code, reason, metadata = {}] = failure;
    const value = { code: grpc.status[code], message: 'words', reason, metadata };
    return create(SignResultSchema, { requestId, result: { case: 'failure', value } });
  }

  #execute(request: ExecuteRequest) {
    return create(ExecuteResponseSchema, {
      status: 200,
      headers: [{ name: 'content-type', value: 'application/json' }],
      body: this.body,
      latencyUs: 1500n,
      ...(request.credential ? { execution: this.#receipt() } : {}),
    });
  }

  async #stream(call: grpc.ServerWritableStream<ExecuteRequest, any>): Promise<void> {
    try {
      await this.#hear(call);
      const value = { ...this.#execute(call.request), body: new Uint8Array() };
      call.write(create(ExecuteStreamResponseSchema, { part: { case: 'head', value } }));
      for (const piece of ['one', 'two']) {
        call.write(
          create(ExecuteStreamResponseSchema, { part: { case: 'body', value: Buffer.from(piece) } }),
        );
      }
      call.end();
    } catch (error) {
      call.emit('error', error);
    }
  }

  /** Checks the signed command as the core does, and certifies the new key. */
  async #renew(request: any, peer: X509Certificate) {
    const { command } = request;
    const serial = Buffer.from(peer.serialNumber.padStart(32, '0'), 'hex');
    const { nonce, expiresAtMs, body, signature } = command;
    const message = signingBytes('vault.v1.ClientService/Renew', serial, nonce, expiresAtMs, body);
    const algorithm = peer.publicKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
    assert(verify(algorithm, message, peer.publicKey, signature));
    const certificate =
      this.issued ?? (await this.authority.certify(fromBinary(RenewCommandSchema, body).csr));
    return create(RenewResponseSchema, { certificate, caCertificate: this.caDer });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

/** `grpc-status-details-bin` as the vault's front writes it. */
export function statusDetails(
  reason: string,
  metadata: Record<string, string>,
  domain = 'countersign',
): Buffer {
  const value = toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason, domain, metadata }));
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value }];
  return Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code: 7, message: 'words', details })));
}
