/**
 * Files of an identity: written whole, synced, then renamed into place; locked as `vaultctl` locks.
 *
 * @module
 */

import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { IdentityError } from './errors.js';

/** Mode of files with a private key, and of all others. */
export const SECRET_MODE = 0o600;
export const PLAIN_MODE = 0o644;

/** The name under which a renewal writes a file first. */
export function withNew(path: string): string {
  return `${path}.new`;
}

/** Turns an answer of the operating system into an error that names the file. */
export function io<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new IdentityError(`${path}: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
}

/** The whole file. */
export function read(path: string): Buffer {
  return io(path, () => readFileSync(path));
}

/** Whether there is such a file. */
export function isThere(path: string): boolean {
  return io(path, () => statSync(path, { throwIfNoEntry: false })) !== undefined;
}

/** The whole file, unless others than its owner may read it. */
export function readSecret(path: string): Buffer {
  if ((io(path, () => statSync(path)).mode & 0o077) !== 0) {
    throw new IdentityError(`the key in ${path} can be read by others`);
  }
  return read(path);
}

/** Writes and syncs a file. One of that name is replaced, whatever its mode was. */
export function write(path: string, content: string | Buffer, mode: number): void {
  remove(path);
  io(path, () => {
    // New, so that the mode holds from the first byte on and no link is followed.
    const file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  });
}

/** Renames a file and syncs its folder. */
export function rename(from: string, to: string): void {
  io(from, () => {
    renameSync(from, to);
    const folder = openSync(dirname(to), constants.O_RDONLY);
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  });
}

/** Removes a file; none of that name is as good. */
export function remove(path: string): void {
  io(path, () => {
    rmSync(path, { force: true });
  });
}

/*
 * Node has no flock(2), which vaultctl and the Python package use. A lock belongs to the open file and not to
 * the process that asked for it: a child that gets the file as its descriptor 3 takes the lock, and it lasts
 * until we close the file.
 */
const TAKERS: readonly (readonly [string, ...string[]])[] = [
  ['flock', '-x', '3'],
  ['perl', '-e', 'open(F, "<&=", 3) and flock(F, 2) or exit 1'],
];

/** Holds the exclusive lock of a file that exists while `act` runs. Blocks the process. */
export function lockedSync<T>(path: string, act: () => T): T {
  const file = io(path, () => openSync(path, constants.O_RDONLY));
  try {
    const taken = TAKERS.some(([command, ...rest]) => {
      const done: SpawnSyncReturns<Buffer> = spawnSync(command, rest, {
        stdio: ['ignore', 'ignore', 'ignore', file],
      });
      return done.status === 0;
    });
    if (!taken) throw cannotLock(path);
    return act();
  } finally {
    // The lock ends with the last descriptor of it.
    closeSync(file);
  }
}

/** Holds the exclusive lock of a file that exists while `act` runs. */
export async function locked<T>(path: string, act: () => Promise<T>): Promise<T> {
  const file = io(path, () => openSync(path, constants.O_RDONLY));
  try {
    for (const [command, ...rest] of TAKERS) {
      const taken = await new Promise<boolean>((resolve) => {
        spawn(command, rest, { stdio: ['ignore', 'ignore', 'ignore', file] })
          .on('error', () => {
            resolve(false);
          })
          .on('exit', (code) => {
            resolve(code === 0);
          });
      });
      if (taken) return await act();
    }
    throw cannotLock(path);
  } finally {
    closeSync(file);
  }
}

function cannotLock(path: string): IdentityError {
  return new IdentityError(`${path}: cannot be locked: neither the command flock nor perl does it`);
}
