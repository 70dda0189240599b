/**
 * Keeps an identity fresh: renews it at two thirds of its certificate's life, and takes over what other
 * processes put into its folder.
 *
 * @module
 */

import { realpathSync } from 'node:fs';
import { Identity } from './identity.js';
import { renew } from './transport.js';

/** Looks often instead of sleeping long: a timer stands still while the machine sleeps. */
const LOOK_INTERVAL_MS = 20_000;

/** The newest identity of one folder, for as long as somebody holds the value. */
export class Keeper {
  #identity: Identity;
  #stamp: string | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(identity: Identity) {
    this.#identity = identity;
    // The timer does not hold the keeper, nor the process: each ends when its users do.
    const weak = new WeakRef(this);
    const timer = setInterval(() => {
      const keeper = weak.deref();
      if (keeper === undefined) clearInterval(timer);
      else void keeper.#lookAndWarn();
    }, LOOK_INTERVAL_MS).unref();
    void this.#lookAndWarn();
  }

  /** The one of this folder, address and process, made if nobody has it. */
  static of(identity: Identity): Keeper {
    const place = `${realpathSync(identity.folder)}\0${identity.address}`;
    let keeper = KEEPERS.get(place)?.deref();
    if (keeper === undefined) KEEPERS.set(place, new WeakRef((keeper = new Keeper(identity))));
    return keeper;
  }

  /** The newest. */
  get identity(): Identity {
    return this.#identity;
  }

  /** Takes over a certificate that lies newly in the folder, and renews it if it is time. */
  async look(): Promise<void> {
    await this.#inTurn(async () => {
      const stamp = this.#identity.stamp();
      if (stamp !== this.#stamp) {
        const there = Identity.load(this.#identity.folder).withAddress(this.#identity.address);
        if (!there.serial.equals(this.#identity.serial)) this.#identity = there;
        this.#stamp = stamp;
      }
      if (this.#identity.needsRenewal()) await this.#renew();
    });
  }

  /** Renews now; waits for the vault for at most 15 s. */
  async renew(): Promise<void> {
    await this.#inTurn(() => this.#renew());
  }

  async #renew(): Promise<void> {
    const identity = this.#identity;
    this.#identity = await identity.renewed((csr) => renew(identity, csr));
  }

  /** One after the other. */
  #inTurn(act: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #lookAndWarn(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      // Again at the next look: a third of the certificate's life is left for that.
      process.emitWarning(`certificate not renewed: ${(error as Error).message}`, 'CountersignWarning');
    }
  }
}

const KEEPERS = new Map<string, WeakRef<Keeper>>();
